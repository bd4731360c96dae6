from tests.server.fhir.test_searching import *  # noqa: F403
