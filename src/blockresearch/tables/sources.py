"""The publications that define columns, formulas and formats."""

ARDITI = "Arditi and others 2024, arXiv:2406.11717"

BANDEIRA = "Bandeira and van Handel 2016, Annals of Probability 44(4), 2479–2506, arXiv:1408.6185"

CLAUSET = "Clauset, Shalizi and Newman 2009, SIAM Review 51(4), 661–703, arXiv:0706.1062"

AWQ = "Lin and others 2023, arXiv:2306.00978"

ELHAGE = "Elhage and others 2021, A Mathematical Framework for Transformer Circuits"

FARMS = "Hu and others 2025, arXiv:2506.06280"

FP8 = "Micikevicius and others 2022, arXiv:2209.05433"

GAVISH = "Gavish and Donoho 2014, IEEE Trans. Inf. Theory 60(8), 5040–5053, arXiv:1305.5870"

GPTQ = "Frantar, Ashkboos, Hoefler and Alistarh 2022, arXiv:2210.17323"

HILL = "Hill 1975, Annals of Statistics 3(5), 1163–1174"

JOHNSTONE = "Johnstone 2001, Annals of Statistics 29(2), 295–327"

KERNEL = "Affinity between Attention-Head Weight Subspaces 2026, arXiv:2601.10266"

KMEANS = "Lloyd 1982, IEEE Trans. Inf. Theory 28(2), 129–137"

KNEEDLE = "Satopää, Albrecht, Irwin and Raghavan 2011, ICDCS Workshops, 166–171"

KORNBLITH = "Kornblith, Norouzi, Lee and Hinton 2019, arXiv:1905.00414"

LAND = "Land and Bartolo 2024, EMNLP, 11631–11646, arXiv:2405.05417"

MARCHENKO = "Marchenko and Pastur 1967, Math. USSR-Sbornik 1(4), 457–483"

MATRIX_RANK = "the rule of numpy.linalg.matrix_rank"

NVFP4 = "NVIDIA 2025, arXiv:2509.25149"

OCP = "OCP Microscaling Formats (MX) Specification 1.0, 2023"

QLORA = "Dettmers, Pagnoni, Holtzman and Zettlemoyer 2023, arXiv:2305.14314"

RAND = "Hubert and Arabie 1985, Journal of Classification 2, 193–218"

ROY = "Roy and Vetterli 2007, EUSIPCO, 606–610"

RUDELSON = "Rudelson and Vershynin 2007, Journal of the ACM 54(4), arXiv:math/0503442"

SAPONATI = "Saponati and others 2025, arXiv:2502.10927"

SHANNON = "Shannon 1948, Bell System Technical Journal 27, 379–423"

SHADOW = "Wu and others 2025, arXiv:2505.12716"

SILHOUETTE = "Rousseeuw 1987, J. Comput. Appl. Math. 20, 53–65"

SPECTRUM = "Hartford, Atkins, Fernandes Neto and Golchinfar 2024, arXiv:2406.06623"

SHUTTLEWORTH = "Shuttleworth and others 2024, arXiv:2410.21228"

STAATS = "Staats, Thamm and Rosenow 2024, arXiv:2410.17770"

SUN = "Sun, Canziani, LeCun and Zhu 2026, arXiv:2603.05498"

VALLENDER = "Vallender 1974, Theory Probab. Appl. 18(4), 784–786"

VUONG = "Vuong 1989, Econometrica 57(2), 307–333"

WEDIN = "Davis and Kahan 1970, SIAM J. Numer. Anal. 7(1), 1–46"

WEIGHTWATCHER = "Martin and Mahoney 2021, JMLR 22(165), arXiv:1810.01075; WeightWatcher 0.7.7"

WEYL = "Weyl 1912, Mathematische Annalen 71, 441–479"

YU = "Yu and others 2024, arXiv:2411.07191"

ZHU = "Zhu, Ahmed, Kuditipudi and Liang 2025, arXiv:2502.12292"

TSNE = "van der Maaten and Hinton 2008, JMLR 9, 2579–2605"
