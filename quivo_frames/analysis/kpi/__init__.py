"""How well orders are fulfilled: one small function a KPI."""
