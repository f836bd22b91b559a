MODEL (name shop.orders, kind INCREMENTAL_BY_TIME_RANGE (time_column day), cron '@daily', start '2026-01-01', grain id);
SELECT id::BIGINT AS id, customer::BIGINT AS customer, day::DATE AS day, amount::NUMERIC(10, 2) AS amount
FROM shop.raw_orders
WHERE day BETWEEN @start_date AND @end_date;
