"""Units of the columns, for the metadata of Parquet files.

A job's fingerprint counts this module, as it does `schemas`, by its constants. Only what merges and
analyzes imports it, so a better unit measures nothing again.
"""

from blockresearch.tables import columns

UNITS = {
    table: {column.name: column.unit for column in schema.columns if column.unit}
    for table, schema in columns.SCHEMAS.items()
}
