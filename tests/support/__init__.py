# SPDX-License-Identifier: Apache-2.0
"""What the tests of all services stand on: a running cloud, people in it, and YAML scenarios as tests."""
