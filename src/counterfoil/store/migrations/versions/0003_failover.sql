-- Failover: how gateways fare, and what is given back by itself.
SELECT 1;
