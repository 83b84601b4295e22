"""The engine keeps vtune's contract: one test for each rule of the conformance kit."""

import vtune.testing

test_contract = vtune.testing.conformance_tests("acoustic-engine")
