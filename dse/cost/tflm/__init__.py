"""The memory that TensorFlow Lite Micro takes for a network: its operators, their order, the plan and the tail."""
