"""Who may pass, what it costs and who has paid: the engine, its one verdict table and its books."""
