"""What a run tells to others than its journal: spans for OpenTelemetry, tables in Parquet.

``stories`` makes spans of records, ``otel`` sends them, ``behind`` keeps that out of the way of the run,
``opening`` decides whether there are any. ``parquet`` makes tables of the files of a journal.
"""
