from tests.server.auth.test_allowed import *  # noqa: F403

# a total is not told to who may see a part
del test_a_scope_restriction_applies_to_searches_and_writes  # noqa: F821
