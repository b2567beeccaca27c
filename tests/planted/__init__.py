"""True texts of many styles and planted falsehoods, to measure what is accepted by machine."""
