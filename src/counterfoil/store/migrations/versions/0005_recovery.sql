-- Recovery: how far the gateways' own lists were read.
SELECT 1;
