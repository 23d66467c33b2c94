"""The record of a run, and the samplers that read it."""
