"""One film: its pipeline from source to sink, its settings, and its parts where several machines share it."""
