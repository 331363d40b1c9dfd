"""Key figures of fulfillment: each KPI is one small function."""
