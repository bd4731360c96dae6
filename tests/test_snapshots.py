"""Snapshots generated from differentials, compared with those of HL7's two tools."""

from tests.profiling import (
    BY_CODE,
    BY_TYPE,
    BY_URL,
    OWN,
    R4,
    element,
    generate_snapshot,
    names_below,
    profile,
    type_codes,
)


def test_an_element_keeps_what_the_differential_does_not_change():
    snapshot = generate_snapshot(
        profile("x", element("Observation.status", short="which", mustSupport=True))
    )
    assert snapshot["Observation.status"] == {
        "id": "Observation.status",
        "path": "Observation.status",
        "min": 1,
        "max": "1",
        "base": {"path": "Observation.status", "min": 1, "max": "1"},
        "type": [{"code": "code"}],
        "isModifier": True,
        "isSummary": True,
        "constraint": snapshot["Observation.status"]["constraint"],
        "binding": {
            "strength": "required",
            "valueSet": "http://hl7.org/fhir/ValueSet/observation-status|4.0.1",
        },
        "short": "which",
        "mustSupport": True,
    }
    assert len(snapshot) == 50


def test_fixed_values_may_be_false_or_zero():
    rows = [
        element("Patient.active", fixedBoolean=False),
        element("Patient.name", max="0"),
        element("Patient.telecom.rank", fixedPositiveInt=0),
    ]
    snapshot = generate_snapshot(profile("x", *rows))
    assert snapshot["Patient.active"]["fixedBoolean"] is False
    assert snapshot["Patient.name"]["max"] == "0"
    assert snapshot["Patient.telecom.rank"]["fixedPositiveInt"] == 0


def test_constraints_are_added_and_name_their_source():
    own = {"key": "own-1", "severity": "error", "human": "x", "expression": "true"}
    second = own | {"key": "obs-6", "expression": "false"}
    rule = element("Observation", constraint=[own, second])
    snapshot = generate_snapshot(
        profile("a", rule), profile("b", element("Observation", short="x"), base=OWN + "a")
    )
    constraints = {
        item["key"]: (item["source"], item["expression"])
        for item in snapshot["Observation"]["constraint"]
    }
    assert list(constraints) == [
        "dom-2",
        "dom-3",
        "dom-4",
        "dom-5",
        "dom-6",
        "obs-6",
        "obs-7",
        "own-1",
    ]
    assert constraints["own-1"] == (OWN + "a", "true")
    assert constraints["obs-6"] == (R4 + "Observation", "dataAbsentReason.empty() or value.empty()")


def test_the_members_of_a_binding_are_replaced_separately():
    rows = [element("Patient.communication.language", binding={"strength": "required"})]
    snapshot = generate_snapshot(profile("x", *rows))["Patient.communication.language"]["binding"]
    assert snapshot == {
        "strength": "required",
        "valueSet": "http://hl7.org/fhir/ValueSet/languages",
    }


def test_elements_without_ids_are_located_by_path_and_slice_name():
    rows = [
        {"path": "Observation"},
        {"path": "Observation.component", "slicing": BY_CODE},
        {"path": "Observation.component", "sliceName": "a", "min": 1},
        {"path": "Observation.component.code", "patternCodeableConcept": {"text": "a"}},
        {"path": "Observation.component", "sliceName": "b"},
        {"path": "Observation.component.code.text", "min": 1},
    ]
    snapshot = generate_snapshot(profile("x", *rows))
    assert snapshot["Observation.component:a.code"]["patternCodeableConcept"] == {"text": "a"}
    assert snapshot["Observation.component:b.code.text"]["min"] == 1
    assert "patternCodeableConcept" not in snapshot["Observation.component:b.code"]
    assert "Observation.component.code.text" not in snapshot


def test_a_constrained_child_of_a_data_type_expands_the_data_type():
    snapshot = generate_snapshot(profile("x", element("Observation.code.coding.system", min=1)))
    assert names_below(snapshot, "Observation.code") == [
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
    system = snapshot["Observation.code.coding.system"]
    assert (system["min"], system["base"]["path"]) == (1, "Coding.system")


def test_the_profile_of_a_type_defines_the_child_elements():
    row = {"code": "Quantity", "profile": [R4 + "SimpleQuantity"]}
    rows = [
        element("Observation.value[x]", type=[row]),
        element("Observation.value[x].unit", min=1),
    ]
    snapshot = generate_snapshot(profile("x", *rows))
    assert snapshot["Observation.value[x].comparator"]["max"] == "0"
    dose = generate_snapshot(
        profile("x", element("MedicationAdministration.dosage.dose.unit", min=1))
    )
    assert dose["MedicationAdministration.dosage.dose.comparator"]["max"] == "0"


def test_a_content_reference_is_expanded_if_a_child_is_changed():
    snapshot = generate_snapshot(
        profile("x", element("Questionnaire.item.item.item.linkId", short="x"))
    )
    assert snapshot["Questionnaire.item.item"]["type"] == [{"code": "BackboneElement"}]
    assert "contentReference" not in snapshot["Questionnaire.item.item"]
    assert snapshot["Questionnaire.item.item.item.item"]["contentReference"] == (
        R4 + "Questionnaire#Questionnaire.item"
    )
    assert (
        snapshot["Questionnaire.item.item.item.linkId"]["base"]["path"]
        == "Questionnaire.item.linkId"
    )


# --- slices


def test_a_slice_does_not_inherit_the_minimum_of_its_element():
    rows = [
        element("Observation.category", slicing=BY_CODE, min=1, mustSupport=True),
        element("Observation.category:a", short="x"),
    ]
    snapshot = generate_snapshot(profile("x", *rows))
    assert [
        snapshot[name]["min"] for name in ("Observation.category", "Observation.category:a")
    ] == [
        1,
        0,
    ]
    assert "mustSupport" not in snapshot["Observation.category:a"]


def test_the_minimums_of_slices_add_up_unless_the_element_has_its_own():
    first = profile(
        "a",
        element("Observation.category", slicing=BY_CODE),
        element("Observation.category:a", min=1),
        element("Observation.category:b", min=1),
    )
    second = profile("b", element("Observation.category:c", min=1), base=OWN + "a")
    assert generate_snapshot(first)["Observation.category"]["min"] == 0
    snapshot = generate_snapshot(first, second)
    assert snapshot["Observation.category"]["min"] == 3
    assert names_below(snapshot, "Observation.category") == ["", ":a", ":b", ":c"]


def test_slices_inherit_constraints_on_child_elements_except_in_publisher_mode():
    rows = [
        element("Observation.component", slicing=BY_CODE),
        element("Observation.component.interpretation", min=1),
        element("Observation.component:a", min=1),
        element("Observation.component:a.code", patternCodeableConcept={"text": "a"}),
    ]
    name = "Observation.component:a.interpretation"
    assert generate_snapshot(profile("x", *rows))[name]["min"] == 1
    assert generate_snapshot(profile("x", *rows), publisher=True)[name]["min"] == 0


def test_a_reslice_inherits_from_its_slice():
    rows = [
        element("Observation.component", slicing=BY_CODE),
        element("Observation.component:a", mustSupport=True, slicing=BY_CODE),
        element("Observation.component:a.code", patternCodeableConcept={"text": "a"}),
        element("Observation.component:b", short="b"),
        element("Observation.component:a/x", max="1"),
    ]
    snapshot = generate_snapshot(profile("x", *rows))
    slices = [name for name in names_below(snapshot, "Observation.component") if "." not in name]
    assert slices == ["", ":a", ":a/x", ":b"]
    assert snapshot["Observation.component:a/x.code"]["patternCodeableConcept"] == {"text": "a"}
    deeper = profile("y", element("Observation.component:a/x.code.text", min=1), base=OWN + "x")
    second = generate_snapshot(profile("x", *rows), deeper)
    assert second["Observation.component:a/x.code.text"]["min"] == 1
    assert "Observation.component:a.code.text" not in second


def test_extensions_are_sliced_by_url_implicitly_and_inherit_from_their_profile():
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
    snapshot = generate_snapshot(extension, profile("x", *rows))
    assert snapshot["Patient.extension"]["slicing"] == BY_URL
    assert (snapshot["Patient.extension:e"]["min"], snapshot["Patient.extension:e"]["max"]) == (
        0,
        "2",
    )
    assert [item["key"] for item in snapshot["Patient.extension:e"]["constraint"]] == [
        "ele-1",
        "ext-1",
        "own-1",
    ]
    assert snapshot["Patient.extension:e.url"]["fixedUri"] == OWN + "e"
    assert snapshot["Patient.extension:e.value[x].extension"]["max"] == "0"


def test_the_root_constraints_of_a_type_profile_apply_to_extensions_and_in_publisher_mode():
    kind = [{"code": "Quantity", "profile": [R4 + "SimpleQuantity"]}]
    definition = profile("x", element("Observation.value[x]", type=kind))
    keys = [
        [
            item["key"]
            for item in generate_snapshot(definition, publisher=publisher_mode)[
                "Observation.value[x]"
            ]["constraint"]
        ]
        for publisher_mode in (False, True)
    ]
    assert keys == [["ele-1"], ["ele-1", "qty-3", "sqty-1"]]


# --- choices


def choice(*rows, publisher=False, name="Observation.value[x]"):
    snapshot = generate_snapshot(profile("x", *rows), publisher=publisher)
    slicing = snapshot[name].get("slicing", {}).get("rules")
    slices = {
        part[1:]: snapshot[name + part]["min"]
        for part in names_below(snapshot, name)
        if part[:1] == ":" and "." not in part
    }
    return slicing, snapshot[name]["min"], type_codes(snapshot[name]), slices


def test_a_concrete_choice_name_restricts_the_types():
    rows = [element("Observation.valueQuantity", mustSupport=True)]
    assert choice(*rows) == ("closed", 0, ["Quantity"], {"valueQuantity": 0})
    both = [*rows, element("Observation.valueString", maxLength=5)]
    assert choice(*both) == (
        "closed",
        0,
        ["Quantity", "string"],
        {"valueQuantity": 0, "valueString": 0},
    )


def test_publisher_mode_restricts_types_only_for_required_choices_and_extensions():
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


def test_a_concrete_choice_name_beside_the_choice_keeps_its_types():
    rows = [
        element("Observation.value[x]", type=[{"code": "Quantity"}, {"code": "string"}]),
        element("Observation.valueQuantity", mustSupport=True),
        element("Observation.valueQuantity.unit", min=1),
    ]
    assert choice(*rows) == ("open", 0, ["Quantity", "string"], {"valueQuantity": 0})
    assert (
        generate_snapshot(profile("x", *rows))["Observation.value[x]:valueQuantity.unit"]["min"]
        == 1
    )


def test_a_concrete_choice_name_with_only_child_constraints_keeps_all_types():
    rows = [element("MedicationAdministration.effectivePeriod.end", min=1)]
    name = "MedicationAdministration.effective[x]"
    slicing, _, types, slices = choice(*rows, name=name)
    assert (slicing, types) == ("open", ["dateTime", "Period"])
    assert list(slices) == ["effectivePeriod"]


def test_a_concrete_choice_name_in_a_slice_is_the_whole_choice():
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
    snapshot = generate_snapshot(profile("x", *rows))
    assert snapshot[name]["type"] == [{"code": "Reference", "targetProfile": [R4 + "Medication"]}]
    assert "binding" not in snapshot[name]


def test_a_required_type_slice_excludes_other_types():
    rows = [
        element("Observation.value[x]", slicing=BY_TYPE),
        element("Observation.value[x]:valueQuantity", type=[{"code": "Quantity"}], min=1),
    ]
    assert choice(*rows) == ("closed", 1, ["Quantity"], {"valueQuantity": 1})


def test_type_slices_are_closed_unless_declared_open():
    part = element("Observation.value[x]:valueQuantity", type=[{"code": "Quantity"}])
    whole = element("Observation.value[x]", slicing=BY_TYPE)
    assert [choice(*rows)[0] for rows in ([whole, part], [part])] == ["open", "closed"]


# --- derived


def test_a_derived_profile_continues_from_its_base():
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
    snapshot = generate_snapshot(first | {"version": "1.0.0"}, second)
    own = snapshot["Observation.component:a"]
    assert (own["min"], own["max"], own["base"]["max"]) == (1, "1", "*")
    below = "Observation.component:a.value[x]"
    assert [snapshot[f"{below}.{name}"]["min"] for name in ("unit", "code", "value")] == [1, 1, 0]


def test_abstract_types_can_be_constrained():
    snapshot = generate_snapshot(
        profile("x", element("DomainResource.text", min=1), base=R4 + "DomainResource")
    )
    assert snapshot["DomainResource.text"]["min"] == 1


def test_an_empty_differential_keeps_the_base_unchanged():
    definition = profile("x", element("Observation")) | {"differential": {"element": []}}
    assert len(generate_snapshot(definition)) == 50


def test_an_extension_may_contain_itself():
    kind = [{"code": "Extension", "profile": [OWN + "e"]}]
    rows = [
        element("Extension.extension:again", type=kind),
        element("Extension.url", fixedUri=OWN + "e"),
    ]
    snapshot = generate_snapshot(profile("e", *rows, kind="complex-type"))
    assert snapshot["Extension.extension:again"]["type"] == kind
