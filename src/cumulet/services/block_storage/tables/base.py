# SPDX-License-Identifier: Apache-2.0
"""What all tables of the service are listed in."""

from sqlalchemy import MetaData

metadata = MetaData()
