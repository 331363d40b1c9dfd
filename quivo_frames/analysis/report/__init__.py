"""The audit and the KPIs as one page of HTML."""
