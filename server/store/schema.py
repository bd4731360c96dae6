"""The tables of a SQLite file: current versions, history, search index and the rest."""

from fhir_b12.server.sql.expressions import Insert
from fhir_b12.server.sql.tables import range_index, text_index

VERSION = 1  #: of the tables, PRAGMA user_version

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

_T, _N = text_index(""), range_index("")
INSERT_TEXT = Insert(_T, (_T.param, _T.value, _T.extra, _T.part, _T.rid))
INSERT_RANGE = Insert(_N, (_N.param, _N.low, _N.high, _N.unit, _N.part, _N.rid))
