\set aid random(1, 100000)
\set least 1 + :aid / 2
SELECT bid, count(*), min(abalance) FROM pgbench_accounts WHERE aid BETWEEN :least AND :aid GROUP BY bid;
SELECT a.aid, b.bbalance FROM pgbench_accounts a JOIN pgbench_branches b ON b.bid = a.bid WHERE a.aid = :aid;
