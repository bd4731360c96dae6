"""Snapshots made of differentials, and what HL7's two tools make of the same."""

from tests.profiling import BY_CODE, BY_TYPE, BY_URL, OWN, R4, codes, element, ids, made, profile


def test_an_element_keeps_what_the_differential_does_not_say():
    found = made(profile("x", element("Observation.status", short="which", mustSupport=True)))
    assert found["Observation.status"] == {
        "id": "Observation.status",
        "path": "Observation.status",
        "min": 1,
        "max": "1",
        "base": {"path": "Observation.status", "min": 1, "max": "1"},
        "type": [{"code": "code"}],
        "isModifier": True,
        "isSummary": True,
        "constraint": found["Observation.status"]["constraint"],
        "binding": {
            "strength": "required",
            "valueSet": "http://hl7.org/fhir/ValueSet/observation-status|4.0.1",
        },
        "short": "which",
        "mustSupport": True,
    }
    assert len(found) == 50


def test_fixed_values_may_be_false_or_zero():
    rows = [
        element("Patient.active", fixedBoolean=False),
        element("Patient.name", max="0"),
        element("Patient.telecom.rank", fixedPositiveInt=0),
    ]
    found = made(profile("x", *rows))
    assert found["Patient.active"]["fixedBoolean"] is False
    assert found["Patient.name"]["max"] == "0"
    assert found["Patient.telecom.rank"]["fixedPositiveInt"] == 0


def test_constraints_add_up_and_name_their_source():
    own = {"key": "own-1", "severity": "error", "human": "x", "expression": "true"}
    again = own | {"key": "obs-6", "expression": "false"}
    rule = element("Observation", constraint=[own, again])
    found = made(
        profile("a", rule), profile("b", element("Observation", short="x"), base=OWN + "a")
    )
    told = {
        each["key"]: (each["source"], each["expression"])
        for each in found["Observation"]["constraint"]
    }
    assert list(told) == ["dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "obs-6", "obs-7", "own-1"]
    assert told["own-1"] == (OWN + "a", "true")
    assert told["obs-6"] == (R4 + "Observation", "dataAbsentReason.empty() or value.empty()")


def test_a_binding_is_replaced_part_by_part():
    rows = [element("Patient.communication.language", binding={"strength": "required"})]
    found = made(profile("x", *rows))["Patient.communication.language"]["binding"]
    assert found == {"strength": "required", "valueSet": "http://hl7.org/fhir/ValueSet/languages"}


def test_paths_alone_do_where_ids_are_absent():
    rows = [
        {"path": "Observation"},
        {"path": "Observation.component", "slicing": BY_CODE},
        {"path": "Observation.component", "sliceName": "a", "min": 1},
        {"path": "Observation.component.code", "patternCodeableConcept": {"text": "a"}},
        {"path": "Observation.component", "sliceName": "b"},
        {"path": "Observation.component.code.text", "min": 1},
    ]
    found = made(profile("x", *rows))
    assert found["Observation.component:a.code"]["patternCodeableConcept"] == {"text": "a"}
    assert found["Observation.component:b.code.text"]["min"] == 1
    assert "patternCodeableConcept" not in found["Observation.component:b.code"]
    assert "Observation.component.code.text" not in found


def test_what_stands_below_a_data_type_is_spelled_out():
    found = made(profile("x", element("Observation.code.coding.system", min=1)))
    assert ids(found, "Observation.code") == [
        "",
        ".id",
        ".extension",
        ".coding",
        ".coding.id",
        ".coding.extension",
        ".coding.system",
        ".coding.version",
        ".coding.code",
        ".coding.display",
        ".coding.userSelected",
        ".text",
    ]
    system = found["Observation.code.coding.system"]
    assert (system["min"], system["base"]["path"]) == (1, "Coding.system")


def test_a_profile_on_the_type_says_what_stands_below():
    row = {"code": "Quantity", "profile": [R4 + "SimpleQuantity"]}
    rows = [
        element("Observation.value[x]", type=[row]),
        element("Observation.value[x].unit", min=1),
    ]
    found = made(profile("x", *rows))
    assert found["Observation.value[x].comparator"]["max"] == "0"
    dose = made(profile("x", element("MedicationAdministration.dosage.dose.unit", min=1)))
    assert dose["MedicationAdministration.dosage.dose.comparator"]["max"] == "0"


def test_a_content_reference_is_spelled_out_where_something_below_is_changed():
    found = made(profile("x", element("Questionnaire.item.item.item.linkId", short="x")))
    assert found["Questionnaire.item.item"]["type"] == [{"code": "BackboneElement"}]
    assert "contentReference" not in found["Questionnaire.item.item"]
    assert found["Questionnaire.item.item.item.item"]["contentReference"] == (
        R4 + "Questionnaire#Questionnaire.item"
    )
    assert (
        found["Questionnaire.item.item.item.linkId"]["base"]["path"] == "Questionnaire.item.linkId"
    )


# --- slices


def test_a_slice_is_not_required_because_the_element_is():
    rows = [
        element("Observation.category", slicing=BY_CODE, min=1, mustSupport=True),
        element("Observation.category:a", short="x"),
    ]
    found = made(profile("x", *rows))
    assert [found[name]["min"] for name in ("Observation.category", "Observation.category:a")] == [
        1,
        0,
    ]
    assert "mustSupport" not in found["Observation.category:a"]


def test_slices_add_up_where_the_element_itself_is_not_spoken_of():
    first = profile(
        "a",
        element("Observation.category", slicing=BY_CODE),
        element("Observation.category:a", min=1),
        element("Observation.category:b", min=1),
    )
    second = profile("b", element("Observation.category:c", min=1), base=OWN + "a")
    assert made(first)["Observation.category"]["min"] == 0
    found = made(first, second)
    assert found["Observation.category"]["min"] == 3
    assert ids(found, "Observation.category") == ["", ":a", ":b", ":c"]


def test_slices_take_over_what_is_said_below_the_element_but_not_from_the_publisher():
    rows = [
        element("Observation.component", slicing=BY_CODE),
        element("Observation.component.interpretation", min=1),
        element("Observation.component:a", min=1),
        element("Observation.component:a.code", patternCodeableConcept={"text": "a"}),
    ]
    name = "Observation.component:a.interpretation"
    assert made(profile("x", *rows))[name]["min"] == 1
    assert made(profile("x", *rows), publisher=True)[name]["min"] == 0


def test_a_slice_of_a_slice_is_made_of_that_slice():
    rows = [
        element("Observation.component", slicing=BY_CODE),
        element("Observation.component:a", mustSupport=True, slicing=BY_CODE),
        element("Observation.component:a.code", patternCodeableConcept={"text": "a"}),
        element("Observation.component:b", short="b"),
        element("Observation.component:a/x", max="1"),
    ]
    found = made(profile("x", *rows))
    slices = [name for name in ids(found, "Observation.component") if "." not in name]
    assert slices == ["", ":a", ":a/x", ":b"]
    assert found["Observation.component:a/x.code"]["patternCodeableConcept"] == {"text": "a"}
    deeper = profile("y", element("Observation.component:a/x.code.text", min=1), base=OWN + "x")
    again = made(profile("x", *rows), deeper)
    assert again["Observation.component:a/x.code.text"]["min"] == 1
    assert "Observation.component:a.code.text" not in again


def test_extensions_are_sliced_by_url_without_saying_so_and_begin_as_their_profile():
    rule = {"key": "own-1", "severity": "error", "human": "x", "expression": "true"}
    extension = profile(
        "e",
        element("Extension", constraint=[rule], max="2"),
        element("Extension.url", fixedUri=OWN + "e"),
        element("Extension.value[x]", type=[{"code": "string"}], min=1),
        kind="complex-type",
    )
    kind = [{"code": "Extension", "profile": [OWN + "e"]}]
    rows = [
        element("Patient.extension:e", type=kind),
        element("Patient.extension:e.value[x].extension", max="0"),
    ]
    found = made(extension, profile("x", *rows))
    assert found["Patient.extension"]["slicing"] == BY_URL
    assert (found["Patient.extension:e"]["min"], found["Patient.extension:e"]["max"]) == (0, "2")
    assert [each["key"] for each in found["Patient.extension:e"]["constraint"]] == [
        "ele-1",
        "ext-1",
        "own-1",
    ]
    assert found["Patient.extension:e.url"]["fixedUri"] == OWN + "e"
    assert found["Patient.extension:e.value[x].extension"]["max"] == "0"


def test_a_profile_on_a_type_brings_its_roots_constraints_only_for_extensions_or_the_publisher():
    kind = [{"code": "Quantity", "profile": [R4 + "SimpleQuantity"]}]
    definition = profile("x", element("Observation.value[x]", type=kind))
    keys = [
        [
            each["key"]
            for each in made(definition, publisher=who)["Observation.value[x]"]["constraint"]
        ]
        for who in (False, True)
    ]
    assert keys == [["ele-1"], ["ele-1", "qty-3", "sqty-1"]]


# --- choices


def choice(*rows, publisher=False, name="Observation.value[x]"):
    found = made(profile("x", *rows), publisher=publisher)
    slicing = found[name].get("slicing", {}).get("rules")
    slices = {
        part[1:]: found[name + part]["min"]
        for part in ids(found, name)
        if part[:1] == ":" and "." not in part
    }
    return slicing, found[name]["min"], codes(found[name]), slices


def test_a_short_name_means_that_type_alone():
    rows = [element("Observation.valueQuantity", mustSupport=True)]
    assert choice(*rows) == ("closed", 0, ["Quantity"], {"valueQuantity": 0})
    both = [*rows, element("Observation.valueString", maxLength=5)]
    assert choice(*both) == (
        "closed",
        0,
        ["Quantity", "string"],
        {"valueQuantity": 0, "valueString": 0},
    )


def test_the_publisher_leaves_the_other_types_open_unless_one_is_required_or_it_is_an_extension():
    slicing, least, types, slices = choice(element("Observation.valueQuantity"), publisher=True)
    assert (slicing, least, len(types), slices) == ("open", 0, 11, {"valueQuantity": 0})
    required = [element("Observation.valueQuantity", min=1)]
    assert choice(*required, publisher=True) == ("closed", 1, ["Quantity"], {"valueQuantity": 1})
    short = [element("Extension.valueString")]
    assert choice(*short, publisher=True, name="Extension.value[x]") == (
        "closed",
        0,
        ["string"],
        {"valueString": 0},
    )


def test_a_short_name_beside_the_choice_itself_leaves_its_types():
    rows = [
        element("Observation.value[x]", type=[{"code": "Quantity"}, {"code": "string"}]),
        element("Observation.valueQuantity", mustSupport=True),
        element("Observation.valueQuantity.unit", min=1),
    ]
    assert choice(*rows) == ("open", 0, ["Quantity", "string"], {"valueQuantity": 0})
    assert made(profile("x", *rows))["Observation.value[x]:valueQuantity.unit"]["min"] == 1


def test_a_short_name_that_only_leads_below_forbids_no_type():
    rows = [element("MedicationAdministration.effectivePeriod.end", min=1)]
    name = "MedicationAdministration.effective[x]"
    slicing, _, types, slices = choice(*rows, name=name)
    assert (slicing, types) == ("open", ["dateTime", "Period"])
    assert list(slices) == ["effectivePeriod"]


def test_a_short_name_within_a_slice_is_the_whole_choice():
    rows = [
        element("Observation.component", slicing=BY_CODE),
        element("Observation.component:a", min=1),
        element("Observation.component:a.valueQuantity", min=1),
    ]
    assert choice(*rows, name="Observation.component:a.value[x]") == (None, 1, ["Quantity"], {})


def test_the_only_slice_of_a_required_choice_is_required_and_keeps_its_targets():
    rows = [element("MedicationRequest.medicationReference", mustSupport=True)]
    name = "MedicationRequest.medication[x]"
    assert choice(*rows, name=name) == ("closed", 1, ["Reference"], {"medicationReference": 1})
    found = made(profile("x", *rows))
    assert found[name]["type"] == [{"code": "Reference", "targetProfile": [R4 + "Medication"]}]
    assert "binding" not in found[name]


def test_a_required_slice_by_type_leaves_no_other_type():
    rows = [
        element("Observation.value[x]", slicing=BY_TYPE),
        element("Observation.value[x]:valueQuantity", type=[{"code": "Quantity"}], min=1),
    ]
    assert choice(*rows) == ("closed", 1, ["Quantity"], {"valueQuantity": 1})


def test_slices_by_type_are_open_only_where_it_is_said():
    part = element("Observation.value[x]:valueQuantity", type=[{"code": "Quantity"}])
    whole = element("Observation.value[x]", slicing=BY_TYPE)
    assert [choice(*rows)[0] for rows in ([whole, part], [part])] == ["open", "closed"]


# --- derived


def test_a_profile_of_a_profile_goes_on_where_that_ended():
    first = profile(
        "a",
        element("Observation.component", slicing=BY_CODE),
        element("Observation.component:a", min=1),
        element("Observation.component:a.valueQuantity.unit", min=1),
        abstract=True,
    )
    second = profile(
        "b",
        element("Observation.component:a", max="1"),
        element("Observation.component:a.value[x].code", min=1),
        base=OWN + "a|1.0.0",
    )
    found = made(first | {"version": "1.0.0"}, second)
    own = found["Observation.component:a"]
    assert (own["min"], own["max"], own["base"]["max"]) == (1, "1", "*")
    below = "Observation.component:a.value[x]"
    assert [found[f"{below}.{name}"]["min"] for name in ("unit", "code", "value")] == [1, 1, 0]


def test_abstract_types_can_be_constrained():
    found = made(profile("x", element("DomainResource.text", min=1), base=R4 + "DomainResource"))
    assert found["DomainResource.text"]["min"] == 1


def test_an_empty_differential_leaves_the_base_as_it_is():
    definition = profile("x", element("Observation")) | {"differential": {"element": []}}
    assert len(made(definition)) == 50


def test_an_extension_may_hold_itself():
    kind = [{"code": "Extension", "profile": [OWN + "e"]}]
    rows = [
        element("Extension.extension:again", type=kind),
        element("Extension.url", fixedUri=OWN + "e"),
    ]
    found = made(profile("e", *rows, kind="complex-type"))
    assert found["Extension.extension:again"]["type"] == kind
