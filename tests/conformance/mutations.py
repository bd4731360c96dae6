"""Changes of one element of a resource, as senders make them by mistake."""

import copy
import random

BLANK = ["", " ", None, [], {}, "\u00a0", [None], [""], {"id": "a"}]
DATES = ["2020-13-01", "2020-02-30", "20200101", "2020-01-01T10:00:00", "2020-01-01T25:00:00Z",
         "2020-1-1", "01/02/2020", "2020-01-01T10:00Z", "0000-01-01", "2020-01-01T10:00:00+15:00",
         "today", "2020-01-01 10:00:00Z", "2020-01", "1583"]  # fmt: skip
IDS = ["a b", "x" * 65, "a_b", "", "a/b", "é", "#a", "A.b-1", "urn:uuid:1"]
REFERENCES = ["Patient", "Patient/", "#missing", "a b", "http://a b", "urn:uuid:X", "urn:oid:1.2.3",
              "Foo/1", "Patient/1/_history/1", "Patient?identifier=a", "#", "../Patient/1"]  # fmt: skip
CODES = ["", " final", "FINAL", "fi nal", "fi  nal", "done", "unknown", "\u00a0", "final\n"]
DIVS = ["", "<div>a</div>", "<p xmlns='http://www.w3.org/1999/xhtml'>a</p>", "text",
        "<div xmlns='http://www.w3.org/1999/xhtml'><script>a</script></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><p onclick='a'>a</p></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'>  </div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'>&copy; &unknown;</div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><b>a</div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><a href='#nowhere'>a</a></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><img src='a.png'/></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><!-- a --><p style='color:red'>a</p></div>"]  # fmt: skip
EXTENSIONS = [{}, {"url": "http://example.org/a"}, {"valueString": "a"}, {"url": "a", "valueString": "b"},
              {"url": "http://example.org/a", "valueString": "b"}, {"url": "", "valueString": "b"},
              {"url": "http://example.org/a", "valueString": "b", "valueCode": "c"},
              {"url": "http://hl7.org/fhir/StructureDefinition/nothing", "valueString": "a"},
              {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace", "valueString": "a"},
              {"url": "http://example.org/a", "extension": [{"url": "b", "valueString": "c"}]},
              {"url": "http://example.org/a", "valueString": "b",
               "extension": [{"url": "http://example.org/b", "valueString": "c"}]}]  # fmt: skip
QUANTITIES = [("code", None), ("system", None), ("value", "1"), ("comparator", "="), ("comparator", "<"),
              ("code", "mcg"), ("system", "ucum"), ("value", None), ("unit", ""), ("value", -1)]  # fmt: skip


def positions(node, path=()):
    """Yield owner, key and path of every value in a node."""
    members = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(members):
        yield node, key, (*path, key)
        if isinstance(value, dict | list):
            yield from positions(value, (*path, key))


def mutant(resource, draw: random.Random):
    """Return operator, path and a copy with one change; None if the operator does not apply."""
    changed = copy.deepcopy(resource)
    name = draw.choice(sorted(OPERATORS))
    pick, change = OPERATORS[name]
    matches = [
        (owner, key, path)
        for owner, key, path in positions(changed)
        if pick(key, owner[key], owner)
    ]
    if not matches:
        return None
    owner, key, path = draw.choice(matches)
    change(owner, key, draw)
    return name, path, changed


def _is_name(key, _value, _owner):
    return isinstance(key, str) and key != "resourceType"


def _is_text(key, value, _owner):
    return isinstance(value, str) and key not in {"resourceType", "div"}


def _remove(owner, key, _draw):
    del owner[key]


def _rename(owner, key, draw):
    spelled = [key[:-1], key + "s", key.upper(), key.lower(), "_" + key, key + " ", key[1:]]
    value = owner.pop(key)
    owner[draw.choice(spelled)] = value


def _add_member(owner, key, draw):
    del key
    target = owner if isinstance(owner, dict) else {}
    target[
        draw.choice(["foo", "value", "valueString", "status", "_status", "extra", "fhir_comments"])
    ] = draw.choice(["a", 1, True, None, {"a": 1}, ["a"]])


def _wrap_in_list(owner, key, _draw):
    owner[key] = [owner[key]]


def _unwrap_list(owner, key, _draw):
    owner[key] = owner[key][0] if owner[key] else {}


def _replace_by_empty(owner, key, draw):
    owner[key] = copy.deepcopy(draw.choice(BLANK))


def _replace_by_other_type(owner, key, draw):
    others = ["a", 1, True, 1.5, {"a": 1}, ["a"], "1", "true"]
    owner[key] = copy.deepcopy(draw.choice(others))


def _replace_by_one_of(values):
    def change(owner, key, draw):
        owner[key] = copy.deepcopy(draw.choice(values))

    return change


def _add_extension(owner, key, draw):
    target = owner[key]
    target.setdefault(draw.choice(["extension"] * 4 + ["modifierExtension"]), [])
    for name in ("extension", "modifierExtension"):
        if isinstance(target.get(name), list):
            target[name].append(copy.deepcopy(draw.choice(EXTENSIONS)))


def _add_second_choice(owner, key, draw):
    stem = next(
        s for s in ("value", "effective", "onset", "medication", "performed") if key.startswith(s)
    )
    owner[
        stem + draw.choice(["String", "DateTime", "Boolean", "Quantity", "Period", "Reference"])
    ] = "a"


def _repeat_item(owner, key, draw):
    owner[key] = owner[key] + [copy.deepcopy(draw.choice(owner[key]))] if owner[key] else [{}]


def _replace_by_id(owner, key, _draw):
    owner[key] = {"id": "a"}


def _add_companion(owner, key, draw):
    parts = [{"id": "a"}, {}, {"extension": []}, [{"id": "a"}], "a", None,
             {"extension": [{"url": "http://example.org/a", "valueString": "b"}]}]  # fmt: skip
    owner["_" + key] = copy.deepcopy(draw.choice(parts))
    if draw.random() < 0.5:
        owner.pop(key, None)


def _add_contained(owner, key, draw):
    del key
    inner = [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Patient"}, {"id": "p"},
             {"resourceType": "Foo", "id": "p"}, "a",
             {"resourceType": "Patient", "id": "p", "meta": {"versionId": "1"}},
             {"resourceType": "Patient", "id": "p", "birthDate": "x"}]  # fmt: skip
    owner["contained"] = [*owner.get("contained", []), copy.deepcopy(draw.choice(inner))]


def _change_quantity(owner, key, draw):
    name, value = draw.choice(QUANTITIES)
    if value is None:
        owner[key].pop(name, None)
    else:
        owner[key][name] = value


def _reverse_period(owner, key, _draw):
    period = owner[key]
    period["start"], period["end"] = "2020-02-01", "2020-01-01"


#: operator -> (condition on key, value and owner; change of owner and key)
OPERATORS = {
    "drop": (lambda k, v, h: k != "resourceType", _remove),
    "rename": (_is_name, _rename),
    "add": (lambda k, v, h: k == "resourceType", _add_member),
    "add within": (lambda k, v, h: isinstance(h, dict) and k != "div", _add_member),
    "list": (_is_name, _wrap_in_list),
    "unlist": (lambda k, v, h: isinstance(v, list), _unwrap_list),
    "empty": (lambda k, v, h: k != "resourceType", _replace_by_empty),
    "retype": (lambda k, v, h: k != "resourceType", _replace_by_other_type),
    "date": (
        lambda k, v, h: isinstance(v, str) and v[:2] in {"19", "20"},
        _replace_by_one_of(DATES),
    ),
    "code": (
        lambda k, v, h: k in {"code", "status", "system", "use", "gender", "intent"},
        _replace_by_one_of(CODES),
    ),
    "id": (lambda k, v, h: k == "id", _replace_by_one_of(IDS)),
    "reference": (lambda k, v, h: k == "reference", _replace_by_one_of(REFERENCES)),
    "extension": (lambda k, v, h: isinstance(v, dict), _add_extension),
    "second choice": (
        lambda k, v, h: (
            isinstance(k, str)
            and k.startswith(("value", "effective", "onset", "medication", "performed"))
            and not isinstance(h, list)
        ),
        _add_second_choice,
    ),
    "repeat": (lambda k, v, h: isinstance(v, list), _repeat_item),
    "only id": (lambda k, v, h: isinstance(v, dict) and "resourceType" not in v, _replace_by_id),
    "companion": (lambda k, v, h: _is_text(k, v, h) and isinstance(k, str), _add_companion),
    "contained": (lambda k, v, h: k == "resourceType", _add_contained),
    "narrative": (lambda k, v, h: k == "div", _replace_by_one_of(DIVS)),
    "quantity": (
        lambda k, v, h: isinstance(v, dict) and "value" in v and "unit" in v,
        _change_quantity,
    ),
    "period": (
        lambda k, v, h: isinstance(v, dict) and ("start" in v or "end" in v),
        _reverse_period,
    ),
}
