"""Laws of every store.  https://hl7.org/fhir/R4/http.html"""

import threading
from itertools import count, pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from fhir_b12.jsonio import loads
from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError
from fhir_b12.server.search.criteria import InCompartment
from fhir_b12.server.search.query_parser import parse_query
from fhir_b12.server.sql.expressions import Sql
from fhir_b12.server.store import Change, FullAccess, sql_store
from fhir_b12.server.wire.timestamps import format_instant
from tests.server.temporary import Temporary

ALL = FullAccess()
BASE = "https://fhir.clinic.test/fhir"


@pytest.fixture
def store():
    store = Temporary(Config(public_url="https://fhir.clinic.test"))
    yield store
    store.close()


def at(moment):
    """Return a clock that always shows this time, microseconds since 1970 UTC."""
    return lambda: moment


def patient(**more):
    return {"resourceType": "Patient", "active": True} | more


def post(resource, **more):
    return Change(method="POST", type=resource["resourceType"], resource=resource, **more)


def put(name, resource, **more):
    return Change(method="PUT", type=resource["resourceType"], id=name, resource={**resource, "id": name}, **more)  # fmt: skip


def query(text, resource_type="Patient"):
    pairs = [tuple(pair.split("=", 1)) for pair in text.split("&")]
    return parse_query(resource_type, pairs, strict=True, base=BASE)


def names(store, resource_type="Patient", access=ALL):
    matches = store.search(query("_count=1000", resource_type), access).matches
    return [version.id for version in matches]


class OnePatient:
    """Full access to the compartment of one patient."""

    def __init__(self, name):
        self.name = name

    def limits(self, resource_type, action):  # noqa: ARG002
        everything = parse_query(resource_type, [], strict=True, base=BASE)
        return (replace(everything, criteria=(InCompartment("Patient", self.name),)),)


def test_a_resource_is_stored_with_its_digits_and_order_of_elements(store):
    text = b'{"resourceType":"Observation","status":"final","valueQuantity":{"value":1.50},"x":[1E+3,0.10]}'
    result = store.apply([post(loads(text))], ALL, clock=at(1_000_000))[0]
    body = store.read("Observation", result.version.id, ALL).body
    assert body.endswith(b',"status":"final","valueQuantity":{"value":1.50},"x":[1E+3,0.10]}')
    assert loads(body)["meta"] == {"versionId": "1", "lastUpdated": format_instant(1_000_000)}


def test_the_server_sets_version_id_and_last_updated_and_keeps_the_rest_of_meta(store):
    meta = {
        "versionId": "99",
        "source": "urn:a",
        "lastUpdated": "2000-01-01T00:00:00Z",
        "tag": [{"code": "t"}],
    }
    result = store.apply([post(patient(meta=meta))], ALL, clock=at(0))[0]
    stored = loads(result.version.body)["meta"]
    assert (stored["versionId"], stored["source"], stored["tag"]) == ("1", "urn:a", [{"code": "t"}])


def test_a_refused_change_of_a_transaction_stores_none(store):
    changes = [post(patient()), put("a", patient()), put("b", patient(), if_match=7)]
    with pytest.raises(RequestError) as refused:
        store.apply(changes, ALL, clock=at(0))
    assert refused.value.status == 412
    assert names(store) == []


def test_a_refused_request_does_not_affect_concurrent_ones(store):
    refused = []

    def write(index):
        try:
            store.apply(
                [put(f"p{index}", patient(), if_match=9 if index % 2 else None)], ALL, clock=at(0)
            )
        except RequestError as error:
            refused.append(error.status)

    threads = [threading.Thread(target=write, args=(index,)) for index in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(store)) == sorted(f"p{index}" for index in range(0, 40, 2))
    assert refused == [412] * 20


def test_no_update_with_if_match_is_lost(store):
    store.apply([put("n", patient(multipleBirthInteger=0))], ALL, clock=at(0))
    unexpected = []

    def increment():
        while True:
            old = store.read("Patient", "n", ALL)
            number = loads(old.body)["multipleBirthInteger"]
            change = put("n", patient(multipleBirthInteger=number + 1), if_match=old.version_id)
            try:
                store.apply([change], ALL, clock=at(0))
            except RequestError as error:
                if error.status == 412:  # another thread was first
                    continue
                unexpected.append(error.status)
            return

    threads = [threading.Thread(target=increment) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = store.read("Patient", "n", ALL)
    assert unexpected == []
    assert (loads(last.body)["multipleBirthInteger"], last.version_id) == (64, 65)
    page = store.history("Patient", "n", since=None, at=None, count=100, cursor=None, access=ALL)
    assert [version.version_id for version in page.matches] == list(range(65, 0, -1))


def test_concurrent_conditional_creates_create_one_resource(store):
    outcomes = []

    def create():
        known = patient(identifier=[{"system": "urn:mrn", "value": "1"}])
        change = post(known, criteria=query("identifier=urn:mrn|1"))
        outcomes.append(store.apply([change], ALL, clock=at(0))[0].outcome)

    threads = [threading.Thread(target=create) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["created"] + ["matched"] * 15
    assert len(names(store)) == 1


def test_references_between_transaction_entries_become_ids(store):
    known = patient(identifier=[{"value": "k"}])
    store.apply([put("known", known)], ALL, clock=at(0))
    observation = {
        "resourceType": "Observation",
        "subject": {"reference": "urn:uuid:1"},
        "performer": [{"reference": "urn:uuid:2"}],
        "text": {"div": "<div><a href='urn:uuid:1'>x</a></div>"},
    }
    changes = [
        post(observation, full_url="urn:uuid:0"),
        post(known, full_url="urn:uuid:1", criteria=query("identifier=k")),
        put("o", {"resourceType": "Organization"}, full_url="urn:uuid:2"),
    ]
    results = store.apply(changes, ALL, clock=at(0))
    assert [version.outcome for version in results] == ["created", "matched", "created"]
    stored = loads(results[0].version.body)
    assert stored["subject"] == {"reference": "Patient/known"}
    assert stored["performer"] == [{"reference": "Organization/o"}]
    assert stored["text"]["div"] == "<div><a href='Patient/known'>x</a></div>"
    assert observation["subject"] == {"reference": "urn:uuid:1"}  # the argument is unchanged


def test_an_update_without_a_difference_creates_no_version(store):
    first = store.apply([put("a", patient())], ALL, clock=at(0))[0]
    again = store.apply([put("a", patient(meta={"versionId": "7"}))], ALL, clock=at(5_000_000))[0]
    assert (again.outcome, again.version) == ("unchanged", first.version)


def test_a_deleted_resource_can_be_created_again(store):
    store.apply([put("a", patient())], ALL, clock=at(0))
    gone = store.apply([Change(method="DELETE", type="Patient", id="a")], ALL, clock=at(1_000_000))[
        0
    ]
    assert (gone.outcome, gone.version.version_id, gone.version.body) == ("deleted", 2, None)
    assert store.read("Patient", "a", ALL).body is None
    assert names(store) == []
    again = store.apply(
        [Change(method="DELETE", type="Patient", id="a")], ALL, clock=at(2_000_000)
    )[0]
    assert again.outcome == "missing"
    back = store.apply([put("a", patient())], ALL, clock=at(3_000_000))[0]
    assert (back.outcome, back.version.version_id) == ("created", 3)
    assert store.vread("Patient", "a", 1, ALL).body is not None
    assert store.vread("Patient", "a", 9, ALL) is None


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_last_updated_never_decreases_when_the_clock_steps_back(store, method):
    store.apply([put("a", patient())], ALL, clock=at(5_000_000))
    change = {
        "PUT": put("a", patient(gender="female")),
        "PATCH": Change(method="PATCH", type="Patient", id="a",
                        patch=[{"op": "add", "path": "/gender", "value": "female"}]),
        "DELETE": Change(method="DELETE", type="Patient", id="a"),
    }[method]  # fmt: skip
    second = store.apply([change], ALL, clock=at(1_000_000))[0].version
    assert (second.version_id, second.last_updated) == (2, 5_000_000)
    if second.body is not None:
        assert loads(second.body)["meta"]["lastUpdated"] == format_instant(5_000_000)
    third = store.apply([put("a", patient(gender="male"))], ALL, clock=at(6_000_000))[0].version
    assert (third.version_id, third.last_updated) == (3, 6_000_000)
    page = store.history("Patient", "a", since=None, at=None, count=9, cursor=None, access=ALL)
    assert [version.last_updated for version in page.matches] == [6_000_000, 5_000_000, 5_000_000]


def test_a_recreated_resource_is_not_older_than_its_deletion(store):
    store.apply([put("a", patient())], ALL, clock=at(5_000_000))
    store.apply([Change(method="DELETE", type="Patient", id="a")], ALL, clock=at(7_000_000))
    recreated = store.apply([put("a", patient())], ALL, clock=at(1_000_000))[0].version
    assert (recreated.version_id, recreated.last_updated) == (3, 7_000_000)


def test_history_pages_continue_within_versions_of_one_time(store):
    for number in range(3):
        changes = [put(name, patient(multipleBirthInteger=number)) for name in "ab"]
        store.apply(changes, ALL, clock=at(0))
    versions, cursor = [], None
    while True:
        page = store.history(
            "Patient", None, since=None, at=None, count=1, cursor=cursor, access=ALL
        )
        versions += [(version.id, version.version_id) for version in page.matches]
        if (cursor := page.next) is None:
            break
    assert versions == [("b", 3), ("b", 2), ("b", 1), ("a", 3), ("a", 2), ("a", 1)]


def test_history_of_a_deleted_resource_at_each_time(store):
    store.apply([put("a", patient())], ALL, clock=at(10))
    store.apply([Change(method="DELETE", type="Patient", id="a")], ALL, clock=at(20))
    store.apply([put("a", patient())], ALL, clock=at(30))

    def versions_at(moment):
        page = store.history(
            "Patient", "a", since=None, at=moment, count=9, cursor=None, access=ALL
        )
        return [version.version_id for version in page.matches]

    assert [versions_at(moment) for moment in (9, 10, 19, 20, 29, 30)] == [
        [], [1], [1], [2], [2], [3],
    ]  # fmt: skip


@pytest.mark.parametrize("cursor", ["", "AAAA", "WzFd", "WzEsMiwzLDRd", "WyJhIiwxLDJd", "é"])
def test_an_invalid_history_cursor_is_400(store, cursor):
    with pytest.raises(RequestError) as refused:
        store.history("Patient", None, since=None, at=None, count=1, cursor=cursor, access=ALL)
    assert refused.value.status == 400


def test_two_changes_of_the_resource_that_a_condition_matches_are_400(store):
    store.apply([put("a", patient(gender="male"))], ALL, clock=at(0))
    condition = Change(method="DELETE", type="Patient", criteria=query("gender=male"))
    with pytest.raises(RequestError) as refused:
        store.apply([condition, put("a", patient())], ALL, clock=at(1))
    assert (refused.value.status, refused.value.issues[0].code) == (400, "duplicate")
    assert store.read("Patient", "a", ALL).version_id == 1


@pytest.mark.parametrize("version_id", [0, 1, 3])
def test_an_if_match_of_another_version_is_412(store, version_id):
    for number in range(2):
        store.apply([put("a", patient(multipleBirthInteger=number))], ALL, clock=at(0))
    for change in (
        put("a", patient(), if_match=version_id),
        Change(method="DELETE", type="Patient", id="a", if_match=version_id),
        Change(method="PATCH", type="Patient", id="a", patch=[], if_match=version_id),
        put("missing", patient(), if_match=version_id),
    ):
        with pytest.raises(RequestError) as refused:
            store.apply([change], ALL, clock=at(0))
        assert refused.value.status == 412
    assert (
        store.apply([put("a", patient(), if_match=2)], ALL, clock=at(0))[0].version.version_id == 3
    )


def test_equal_conditional_creates_of_a_transaction_create_one(store):
    known = patient(identifier=[{"value": "k"}])
    changes = [post(known, criteria=query("identifier=k")) for _ in range(2)]
    first, second = store.apply(changes, ALL, clock=at(0))
    assert [first.outcome, second.outcome] == ["created", "matched"]
    assert first.version == second.version
    assert names(store) == [first.version.id]


def test_a_condition_with_several_matches_changes_nothing(store):
    store.apply([put("a", patient()), put("b", patient())], ALL, clock=at(0))
    condition = query("active=true")
    for change in (
        post(patient(), criteria=condition),
        Change(method="PUT", type="Patient", resource=patient(), criteria=condition),
        Change(method="DELETE", type="Patient", criteria=condition),
        Change(method="PATCH", type="Patient", patch=[], criteria=condition),
    ):
        with pytest.raises(RequestError) as refused:
            store.apply([change], ALL, clock=at(1))
        assert refused.value.status == 412
    assert sorted(names(store)) == ["a", "b"]


def test_a_conditional_change_without_a_match(store):
    condition = query("gender=other")
    missing = Change(method="DELETE", type="Patient", criteria=condition)
    assert store.apply([missing], ALL, clock=at(0))[0].outcome == "missing"
    patch = Change(method="PATCH", type="Patient", patch=[], criteria=condition)
    with pytest.raises(RequestError) as refused:
        store.apply([patch], ALL, clock=at(0))
    assert refused.value.status == 404
    assert names(store) == []


def test_a_conditional_update_with_another_id_than_its_match_is_400(store):
    store.apply([put("a", patient(gender="male"))], ALL, clock=at(0))
    change = put("b", patient(gender="male"), criteria=query("gender=male"))
    with pytest.raises(RequestError) as refused:
        store.apply([change], ALL, clock=at(1))
    assert refused.value.status == 400
    assert names(store) == ["a"]


def test_the_changes_of_a_transaction_are_applied_in_the_order_of_their_methods(store):
    store.apply([put("a", patient()), put("b", patient())], ALL, clock=at(0))
    patch = [{"op": "replace", "path": "/active", "value": False}]
    changes = [
        Change(method="PATCH", type="Patient", id="a", patch=patch),
        put("b", patient(gender="female")),
        post(patient(), criteria=query("gender=female")),
        Change(method="DELETE", type="Patient", id="c"),
    ]
    results = store.apply(changes, ALL, clock=at(1))
    # the condition of the create is evaluated before the update
    assert [version.outcome for version in results] == ["updated", "updated", "created", "missing"]


def test_creates_of_a_transaction_are_stored_before_its_updates(store):
    results = store.apply([put("z", patient()), post(patient())], ALL, clock=at(0))
    assert names(store) == [results[1].version.id, "z"]


def test_history_since_and_at(store):
    for number in range(4):
        store.apply([put("a", patient(multipleBirthInteger=number))], ALL, clock=at(number * 10))

    def versions(**options):
        parameters = {"since": None, "at": None, "count": 10, "cursor": None} | options
        page = store.history("Patient", "a", **parameters, access=ALL)
        return [version.version_id for version in page.matches]

    assert versions() == [4, 3, 2, 1]
    assert versions(since=10) == [4, 3, 2]
    assert versions(at=15) == [2]
    assert versions(at=30) == [4]
    first = store.history("Patient", None, since=None, at=None, count=3, cursor=None, access=ALL)
    rest = store.history(
        "Patient", None, since=None, at=None, count=3, cursor=first.next, access=ALL
    )
    assert [version.version_id for version in (*first.matches, *rest.matches)] == [4, 3, 2, 1]
    assert (first.total, rest.next) == (4, None)


def scan_patients(store):
    return store.scan(["Patient"], since=None, access=ALL, limits=())


def test_no_version_is_committed_before_the_commit_horizon(store):
    """So that an export since the time of the last one misses nothing."""
    ticks, stop = count(1), threading.Event()

    def write():
        while not stop.is_set():
            store.apply([post(patient())], ALL, clock=lambda: next(ticks))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        horizon = store.commit_horizon(lambda: next(ticks))
        scanned = {version.id for version in scan_patients(store)}
        early = {version.id for version in scan_patients(store) if version.last_updated < horizon}
        assert early <= scanned
    stop.set()
    for thread in threads:
        thread.join()


def test_a_scan_yields_every_resource_once(store, monkeypatch):
    monkeypatch.setattr(sql_store, "_CHUNK", 20)
    for number in range(43):
        store.apply([put(f"p{number}", patient())], ALL, clock=at(number))
    scanned = [
        version.id
        for version in store.scan(["Patient", "Observation"], since=None, access=ALL, limits=())
    ]
    assert scanned == [f"p{number}" for number in range(43)]
    later = [version.id for version in store.scan(["Patient"], since=40, access=ALL, limits=())]
    assert later == ["p40", "p41", "p42"]


def test_the_limits_of_a_token_apply_to_every_interaction(store):
    mine, other = OnePatient("one"), OnePatient("two")
    result = {"resourceType": "Observation", "subject": {"reference": "Patient/one"}}
    store.apply([put("one", patient()), put("two", patient()), put("r", result)], ALL, clock=at(0))
    assert (names(store, access=mine), names(store, "Observation", access=other)) == (["one"], [])
    assert store.read("Patient", "two", mine) is None
    assert store.read("Observation", "r", other) is None
    assert store.vread("Observation", "r", 1, other) is None
    page = store.history(
        "Observation", "r", since=None, at=None, count=9, cursor=None, access=other
    )
    assert page.matches == ()
    assert [
        version.id for version in store.scan(["Observation"], since=None, access=other, limits=())
    ] == []
    for change, status in (
        (Change(method="DELETE", type="Observation", id="r"), 404),
        (put("r", result | {"status": "final"}), 404),
        (Change(method="PATCH", type="Observation", id="r", patch=[]), 404),
        (post(result), 403),
    ):
        with pytest.raises(RequestError) as refused:
            store.apply([change], other, clock=at(1))
        assert refused.value.status == status
    moved = put("r", result | {"subject": {"reference": "Patient/two"}})
    with pytest.raises(RequestError):
        store.apply([moved], mine, clock=at(1))  # out of the compartment
    store.apply([moved], ALL, clock=at(1))
    assert store.vread("Observation", "r", 1, other) is None  # it was another patient's then
    assert store.vread("Observation", "r", 2, other) is not None


def test_integrity_refuses_dangling_references():
    store = Temporary(Config(integrity=True, public_url="https://fhir.clinic.test"))
    result = {"resourceType": "Observation", "subject": {"reference": "Patient/one"}}
    with pytest.raises(RequestError) as refused:
        store.apply([put("r", result)], ALL, clock=at(0))
    assert refused.value.status == 409
    store.apply([put("r", result), put("one", patient())], ALL, clock=at(0))
    with pytest.raises(RequestError) as refused:
        store.apply([Change(method="DELETE", type="Patient", id="one")], ALL, clock=at(0))
    assert refused.value.status == 409
    both = [
        Change(method="DELETE", type=kind, id=name)
        for kind, name in (("Patient", "one"), ("Observation", "r"))
    ]
    store.apply(both, ALL, clock=at(0))
    store.close()


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ([{"op": "replace", "path": "/nothing/0", "value": 1}], 422),
        ([{"op": "test", "path": "/active", "value": False}], 422),
        ([{"op": "odd", "path": "/active"}], 422),
        ([{"path": "/active"}], 422),
        ([{"op": "add", "path": 1, "value": 1}], 422),
        ([{"op": "remove", "path": ""}], 422),
        ([{"op": "replace", "path": "/id", "value": "b"}], 422),
        ([{"op": "replace", "path": "/resourceType", "value": "Group"}], 422),
    ],
)
def test_an_invalid_patch_changes_nothing(store, patch, status):
    store.apply([put("a", patient())], ALL, clock=at(0))
    with pytest.raises(RequestError) as refused:
        store.apply([Change(method="PATCH", type="Patient", id="a", patch=patch)], ALL, clock=at(1))
    assert refused.value.status == status
    assert store.read("Patient", "a", ALL).version_id == 1


def test_a_key_can_be_used_once_until_it_expires(store):
    assert [store.use_once("a", 2**40), store.use_once("a", 2**40)] == [True, False]
    assert [store.use_once("b", 1), store.use_once("c", 2**40), store.use_once("b", 1)] == [
        True,
        True,
        True,
    ]


def test_reindexing_rebuilds_the_same_index(store):
    store.apply(
        [post(patient(name=[{"family": "a"}])), post({"resourceType": "Observation"})],
        ALL,
        clock=at(0),
    )

    def tables():
        return [
            store._rows(Sql(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4"))
            for table in ("text_index", "range_index")
        ]

    before = tables()
    assert store.reindex() == 2
    assert tables() == before


class StoreModel(RuleBasedStateMachine):
    """A store and a dict with the same changes are equal, and version ids have no gaps."""

    IDS = st.sampled_from(["a", "b", "c"])

    def __init__(self):
        super().__init__()
        self.store = Temporary(Config())
        self.known, self.count = {}, {}

    @rule(name=IDS, number=st.integers(0, 3))
    def put(self, name, number):
        result = self.store.apply(
            [put(name, patient(multipleBirthInteger=number))], ALL, clock=at(0)
        )[0]
        if self.known.get(name) != number:
            self.count[name] = self.count.get(name, 0) + 1
        self.known[name] = number
        assert result.version.version_id == self.count[name]

    @rule(name=IDS)
    def delete(self, name):
        self.store.apply([Change(method="DELETE", type="Patient", id=name)], ALL, clock=at(0))
        if self.known.pop(name, None) is not None:
            self.count[name] += 1

    @rule(name=IDS, number=st.integers(0, 3))
    def fail(self, name, number):
        changes = [put(name, patient(multipleBirthInteger=number)), put("z", patient(), if_match=1)]
        with pytest.raises(RequestError):
            self.store.apply(changes, ALL, clock=at(0))

    @invariant()
    def store_equals_dict(self):
        rows = self.store.search(query("_count=100"), ALL).matches
        assert {row.id: int(loads(row.body)["multipleBirthInteger"]) for row in rows} == self.known
        for name, last in self.count.items():
            page = self.store.history(
                "Patient", name, since=None, at=None, count=99, cursor=None, access=ALL
            )
            numbers = [version.version_id for version in page.matches]
            assert numbers == list(range(last, 0, -1))
            assert all(a.last_updated >= b.last_updated for a, b in pairwise(page.matches))

    def teardown(self):
        self.store.close()


TestStoreModel = StoreModel.TestCase
TestStoreModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_a_closed_store_refuses_requests(store):
    store.close()
    for request in (lambda: store.put_job({"id": "late"}), lambda: store.job("late")):
        with pytest.raises(RequestError) as refused:
            request()
        assert refused.value.status == 503
    store.close()


def test_closing_a_store_ends_concurrent_requests(store):
    started, statuses = threading.Barrier(5), []

    def work(name):
        started.wait()
        try:
            while True:
                store.put_job({"id": name})
                store.search(query("_count=10"), ALL)
        except RequestError as refused:
            statuses.append(refused.status)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    started.wait()
    store.close()
    for thread in threads:
        thread.join()
    assert statuses == [503] * 4
