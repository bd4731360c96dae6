"""Change one element of a resource, as senders do by mistake."""

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


def places(node, path=()):
    """Yield owner, key and path of every value in a node."""
    members = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(members):
        yield node, key, (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def mutant(resource, draw: random.Random):
    """Return operator, path and a copy with one change; None if the operator does not apply."""
    made = copy.deepcopy(resource)
    name = draw.choice(sorted(OPERATORS))
    pick, change = OPERATORS[name]
    found = [each for each in places(made) if pick(each[1], each[0][each[1]], each[0])]
    if not found:
        return None
    holder, key, path = draw.choice(found)
    change(holder, key, draw)
    return name, path, made


def _is_name(key, _value, _holder):
    return isinstance(key, str) and key != "resourceType"


def _is_text(key, value, _holder):
    return isinstance(value, str) and key not in {"resourceType", "div"}


def _drop(holder, key, _draw):
    del holder[key]


def _rename(holder, key, draw):
    spelled = [key[:-1], key + "s", key.upper(), key.lower(), "_" + key, key + " ", key[1:]]
    value = holder.pop(key)
    holder[draw.choice(spelled)] = value


def _add(holder, key, draw):
    del key
    target = holder if isinstance(holder, dict) else {}
    target[
        draw.choice(["foo", "value", "valueString", "status", "_status", "extra", "fhir_comments"])
    ] = draw.choice(["a", 1, True, None, {"a": 1}, ["a"]])


def _listed(holder, key, _draw):
    holder[key] = [holder[key]]


def _unlisted(holder, key, _draw):
    holder[key] = holder[key][0] if holder[key] else {}


def _emptied(holder, key, draw):
    holder[key] = copy.deepcopy(draw.choice(BLANK))


def _retyped(holder, key, draw):
    others = ["a", 1, True, 1.5, {"a": 1}, ["a"], "1", "true"]
    holder[key] = copy.deepcopy(draw.choice(others))


def _chosen(values):
    def change(holder, key, draw):
        holder[key] = copy.deepcopy(draw.choice(values))

    return change


def _extended(holder, key, draw):
    target = holder[key]
    target.setdefault(draw.choice(["extension"] * 4 + ["modifierExtension"]), [])
    for name in ("extension", "modifierExtension"):
        if isinstance(target.get(name), list):
            target[name].append(copy.deepcopy(draw.choice(EXTENSIONS)))


def _second(holder, key, draw):
    stem = next(
        s for s in ("value", "effective", "onset", "medication", "performed") if key.startswith(s)
    )
    holder[
        stem + draw.choice(["String", "DateTime", "Boolean", "Quantity", "Period", "Reference"])
    ] = "a"


def _repeated(holder, key, draw):
    holder[key] = holder[key] + [copy.deepcopy(draw.choice(holder[key]))] if holder[key] else [{}]


def _only_id(holder, key, _draw):
    holder[key] = {"id": "a"}


def _companion(holder, key, draw):
    parts = [{"id": "a"}, {}, {"extension": []}, [{"id": "a"}], "a", None,
             {"extension": [{"url": "http://example.org/a", "valueString": "b"}]}]  # fmt: skip
    holder["_" + key] = copy.deepcopy(draw.choice(parts))
    if draw.random() < 0.5:
        holder.pop(key, None)


def _contained(holder, key, draw):
    del key
    inner = [{"resourceType": "Patient", "id": "p"}, {"resourceType": "Patient"}, {"id": "p"},
             {"resourceType": "Foo", "id": "p"}, "a",
             {"resourceType": "Patient", "id": "p", "meta": {"versionId": "1"}},
             {"resourceType": "Patient", "id": "p", "birthDate": "x"}]  # fmt: skip
    holder["contained"] = [*holder.get("contained", []), copy.deepcopy(draw.choice(inner))]


def _quantity(holder, key, draw):
    name, value = draw.choice(QUANTITIES)
    if value is None:
        holder[key].pop(name, None)
    else:
        holder[key][name] = value


def _reversed(holder, key, _draw):
    period = holder[key]
    period["start"], period["end"] = "2020-02-01", "2020-01-01"


#: operator -> (where it can be used: key, value, holder; what it does: holder, key, draw)
OPERATORS = {
    "drop": (lambda k, v, h: k != "resourceType", _drop),
    "rename": (_is_name, _rename),
    "add": (lambda k, v, h: k == "resourceType", _add),
    "add within": (lambda k, v, h: isinstance(h, dict) and k != "div", _add),
    "list": (_is_name, _listed),
    "unlist": (lambda k, v, h: isinstance(v, list), _unlisted),
    "empty": (lambda k, v, h: k != "resourceType", _emptied),
    "retype": (lambda k, v, h: k != "resourceType", _retyped),
    "date": (lambda k, v, h: isinstance(v, str) and v[:2] in {"19", "20"}, _chosen(DATES)),
    "code": (
        lambda k, v, h: k in {"code", "status", "system", "use", "gender", "intent"},
        _chosen(CODES),
    ),
    "id": (lambda k, v, h: k == "id", _chosen(IDS)),
    "reference": (lambda k, v, h: k == "reference", _chosen(REFERENCES)),
    "extension": (lambda k, v, h: isinstance(v, dict), _extended),
    "second choice": (
        lambda k, v, h: (
            isinstance(k, str)
            and k.startswith(("value", "effective", "onset", "medication", "performed"))
            and not isinstance(h, list)
        ),
        _second,
    ),
    "repeat": (lambda k, v, h: isinstance(v, list), _repeated),
    "only id": (lambda k, v, h: isinstance(v, dict) and "resourceType" not in v, _only_id),
    "companion": (lambda k, v, h: _is_text(k, v, h) and isinstance(k, str), _companion),
    "contained": (lambda k, v, h: k == "resourceType", _contained),
    "narrative": (lambda k, v, h: k == "div", _chosen(DIVS)),
    "quantity": (lambda k, v, h: isinstance(v, dict) and "value" in v and "unit" in v, _quantity),
    "period": (lambda k, v, h: isinstance(v, dict) and ("start" in v or "end" in v), _reversed),
}
