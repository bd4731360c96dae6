from tests.server.auth.test_refused import *  # noqa: F403

# refused upstream: see test_store.py
del test_a_chain_obeys_the_restrictions_of_its_target  # noqa: F821
del test_an_update_needs_the_create_action_if_the_id_is_new  # noqa: F821


def test_an_update_of_an_unknown_id_is_404_without_the_create_action(new_server):
    request = new_server.client_as("writer", "system/Patient.u")
    assert (
        request("PUT", "Patient/new", {"resourceType": "Patient", "id": "new"}).status_code == 404
    )
    assert new_server.client_as("all")("GET", "Patient/new").status_code == 404
