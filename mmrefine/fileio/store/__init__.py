"""The label store: whole files, or none; a manifest when complete."""
