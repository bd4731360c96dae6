from tests.server.fhir.test_conditions import *  # noqa: F403
