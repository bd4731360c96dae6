"""The tables.  One row a resource, its older versions, and the rows by which it is found."""

VERSION = 1  #: of the tables; a database says which it has

TABLES = (
    """CREATE TABLE resource (
        rid INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        version INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        method TEXT NOT NULL,
        digest BLOB,
        body BLOB
    )""",
    "CREATE INDEX resource_type ON resource (type, rid)",
    "CREATE INDEX resource_updated ON resource (type, updated, rid)",
    """CREATE TABLE past (
        rid INTEGER NOT NULL,
        version INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        method TEXT NOT NULL,
        body BLOB,
        PRIMARY KEY (rid, version)
    ) WITHOUT ROWID""",
    """CREATE TABLE text_index (
        param INTEGER NOT NULL,
        value TEXT NOT NULL,
        rid INTEGER NOT NULL,
        extra TEXT NOT NULL,
        part INTEGER NOT NULL,
        PRIMARY KEY (param, value, rid, extra, part)
    ) WITHOUT ROWID""",
    "CREATE INDEX text_rid ON text_index (rid, param)",
    """CREATE TABLE range_index (
        param INTEGER NOT NULL,
        low REAL NOT NULL,
        high REAL NOT NULL,
        rid INTEGER NOT NULL,
        unit TEXT NOT NULL,
        part INTEGER NOT NULL,
        PRIMARY KEY (param, unit, low, high, rid, part)
    ) WITHOUT ROWID""",
    "CREATE INDEX range_rid ON range_index (rid, param)",
    """CREATE TABLE kept (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        until INTEGER NOT NULL,
        value BLOB,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID""",
)

ADD_TEXT = "INSERT INTO text_index (param, value, extra, part, rid) VALUES (?, ?, ?, ?, ?)"
ADD_RANGE = "INSERT INTO range_index (param, low, high, unit, part, rid) VALUES (?, ?, ?, ?, ?, ?)"
