"""The tables of the SQLite and PostgreSQL stores as typed columns."""

from functools import cache

from fhir_b12.server.sql.expressions import Column, Table


class ResourceTable(Table):
    """The current versions, one row per resource; `body` is NULL after a delete."""

    def __init__(self, alias: str) -> None:
        super().__init__("resource", alias)
        self.rid = self.column("rid")
        self.name = self.column("name")  #: "Patient/1"
        self.type = self.column("type")
        self.version = self.column("version")
        self.updated = self.column("updated")
        self.method = self.column("method")
        self.digest = self.column("digest")
        self.body = self.column("body")

    @property
    def version_columns(self) -> tuple[Column, ...]:
        """The columns of a version, in the order of `store.rows.version_of_row`."""
        return self.type, self.name, self.version, self.updated, self.method, self.body


class PastTable(Table):
    """The superseded versions of the resources."""

    def __init__(self, alias: str) -> None:
        super().__init__("past", alias)
        self.rid = self.column("rid")
        self.version = self.column("version")
        self.updated = self.column("updated")
        self.method = self.column("method")
        self.body = self.column("body")


class IndexTable(Table):
    """Search index rows of the current versions."""

    def __init__(self, table_name: str, alias: str) -> None:
        super().__init__(table_name, alias)
        self.param = self.column("param")  #: `parameters.index_key` of the indexed path
        self.rid = self.column("rid")
        self.part = self.column("part")  #: the component that the value belongs to; 0 for none


class TextIndex(IndexTable):
    """Index rows of tokens, strings, references and uris."""

    def __init__(self, alias: str) -> None:
        super().__init__("text_index", alias)
        self.value = self.column("value")
        self.extra = self.column("extra")  #: system of a token, exact text, version of a reference


class RangeIndex(IndexTable):
    """Index rows of dates, numbers and quantities, each an interval."""

    def __init__(self, alias: str) -> None:
        super().__init__("range_index", alias)
        self.low = self.column("low")
        self.high = self.column("high")
        self.unit = self.column("unit")  #: "" as sent, `|code`, `system|code` or base units


class KeptTable(Table):
    """Clients, tokens, used keys and export jobs, as JSON."""

    def __init__(self) -> None:
        super().__init__("kept", "")
        self.kind = self.column("kind")  #: client, token, jti or job
        self.key = self.column("key")
        self.until = self.column("until")  #: expiry in seconds since 1970 UTC; 0 for none
        self.value = self.column("value")


resource_table = cache(ResourceTable)
past_table = cache(PastTable)
text_index = cache(TextIndex)
range_index = cache(RangeIndex)
KEPT = KeptTable()
