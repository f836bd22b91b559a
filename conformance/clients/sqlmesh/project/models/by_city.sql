MODEL (name shop.by_city, kind FULL, audits (not_null(columns := (city)), unique_values(columns := (city))));
SELECT c.city::TEXT AS city, SUM(o.amount)::NUMERIC(18,2) AS amount, COUNT(*)::BIGINT AS orders
FROM shop.orders AS o JOIN shop.customers AS c ON c.id = o.customer GROUP BY c.city;
