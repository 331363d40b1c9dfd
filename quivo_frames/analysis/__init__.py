"""What the tables say about orders: lines, milestones, checks, KPIs, report, changes."""
