# SPDX-License-Identifier: Apache-2.0
"""Verbs of the console proxy: whom to let in, what files to show, how to reach a host."""
