"""What lies on disk: pictures, videos, flow files, labels; every file appears whole or not at all."""
