"""Mutation testing: does a change in a line that matters make a test fail?"""
