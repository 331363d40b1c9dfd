"""The report: audit and KPIs as one HTML page."""
