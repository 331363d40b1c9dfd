"""What BI tools and warehouses would change or refuse in the tables, by their documentation."""
