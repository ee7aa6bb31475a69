"""What the machine gives: packages, memory and threads, forked processes, a folder for cached files."""
