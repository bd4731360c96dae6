from tests.server.auth.test_allowed import *  # noqa: F403

# a restricted token gets no total
del test_a_scope_restriction_applies_to_searches_and_writes  # noqa: F821
