// The language of the page: `say` for the other scripts, and the button of a page that has two.
"use strict";
const say = (() => {
  const root = document.documentElement;
  const { languages, messages } = JSON.parse(document.getElementById("messages").textContent);
  const TAGS = { en: "en", zh: "zh-Hans" };
  const OTHER = { en: ["zh", "中文"], zh: ["en", "English"] };
  const KEY = "blockresearch-language";
  let language = languages[0];

  const remembered = () => {
    // A page that was opened from a disk may have no storage.
    try { return localStorage.getItem(KEY); } catch { return null; }
  };
  const show = (chosen, button) => {
    language = chosen;
    root.dataset.language = chosen;
    root.lang = TAGS[chosen];
    button.textContent = OTHER[chosen][1];
    button.lang = TAGS[OTHER[chosen][0]];
  };
  if (languages.length > 1) {
    const button = document.getElementById("language");
    const preferred = navigator.language.startsWith("zh") ? "zh" : "en";
    const known = remembered();
    show(languages.includes(known) ? known : preferred, button);
    button.hidden = false;
    button.addEventListener("click", () => {
      const [chosen] = OTHER[language];
      try {
        localStorage.setItem(KEY, chosen);
        // The scripts write their texts again.
        location.reload();
      } catch {
        show(chosen, button);
      }
    });
  }
  return (message, values = {}) =>
    (messages[language]?.[message] ?? message).replace(/\{(\w+)\}/g, (_, name) => values[name]);
})();
