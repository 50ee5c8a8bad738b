# SPDX-License-Identifier: Apache-2.0
"""The one stream between a control plane and a host: frames, calls in both directions, events."""
