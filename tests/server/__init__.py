"""The facade. What stands in for parts that are not there is put in its place first."""

from tests.server.memory import install

install()
