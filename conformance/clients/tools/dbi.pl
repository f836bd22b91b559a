#!/usr/bin/env perl
# Perl's DBD::Pg: the *_info calls of DBI, placeholders, transactions, errors.
use strict;
use warnings;
use DBI;

my ($passed, $failed) = (0, 0);

sub equal {
    my ($name, $got, $expected) = @_;
    $got = defined $got ? $got : 'undef';
    if ($got eq $expected) { $passed++; return; }
    $failed++;
    print "  DBD::Pg: $name: got $got, expected $expected\n";
}

sub connect_it { return DBI->connect("dbi:Pg:dbname=lake;host=$ENV{TARN_HOST};port=$ENV{TARN_PORT}", 'tarn', '', { RaiseError => 1, PrintError => 0, AutoCommit => 1 }); }

sub column { my ($rows, $name) = @_; return join ',', sort map { $_->{$name} // 'undef' } @{ $rows->fetchall_arrayref({}) }; }

eval {
    my $dbh = connect_it();
    $dbh->do('CREATE SCHEMA perl');
    $dbh->do('CREATE TABLE perl.orders (id bigint NOT NULL, name text, price numeric(10,2), tags text[], raw bytea)');
    $dbh->do('CREATE VIEW perl.big AS SELECT id FROM perl.orders');
    equal('table_info', column($dbh->table_info(undef, 'perl', '%', undef), 'TABLE_NAME'), 'big,orders');
    equal('column_info', column($dbh->column_info(undef, 'perl', 'orders', '%'), 'COLUMN_NAME'), 'id,name,price,raw,tags');
    equal('primary_key', scalar(my @keys = $dbh->primary_key(undef, 'perl', 'orders')), 0);
    equal('foreign_key_info', column($dbh->foreign_key_info(undef, 'perl', 'orders', undef, undef, undef), 'FK_COLUMN_NAME'), '');
    equal('statistics_info', eval { $dbh->statistics_info(undef, 'perl', 'orders', 0, 0) ? 'rows' : 'nothing' } // 'fails', 'rows');
    equal('type_info_all', @{ $dbh->type_info_all } > 10 ? 'types' : 'few', 'types');
    equal('tables', join(',', sort grep { /perl/ } $dbh->tables(undef, 'perl', undef, 'TABLE')), 'perl.orders');
    my $insert = $dbh->prepare('INSERT INTO perl.orders VALUES (?, ?, ?, ?, ?)');
    for my $n (1 .. 10) {
        $insert->bind_param(5, "\x00\xff$n", { pg_type => DBD::Pg::PG_BYTEA() });
        $insert->execute($n, "it's $n", $n / 4, [ 'a', "b $n" ], "\x00\xff$n");
    }
    equal('rows', $dbh->selectrow_array('SELECT count(*) FROM perl.orders WHERE id > ?', undef, 3), 7);
    my $row = $dbh->selectrow_hashref('SELECT * FROM perl.orders WHERE name = ?', undef, "it's 2");
    equal('row', "$row->{id} $row->{price} $row->{tags}[1]", '2 0.50 b 2');
    equal('bytes', length $row->{raw}, 3);
    my $select = $dbh->prepare('SELECT name FROM perl.orders WHERE id = ?');
    for my $n (1 .. 7) { $select->execute($n); equal('prepared', $select->fetchrow_array, "it's $n"); }
    $dbh->begin_work;
    $dbh->do('DELETE FROM perl.orders');
    $dbh->pg_savepoint('here');
    eval { $dbh->do('SELECT nothing'); };
    equal('SQLSTATE', $dbh->state, '42703');
    $dbh->pg_rollback_to('here');
    $dbh->rollback;
    equal('rollback', $dbh->selectrow_array('SELECT count(*) FROM perl.orders'), 10);
    equal('ping', $dbh->ping > 0 ? 'yes' : 'no', 'yes');
    equal('version', $dbh->{pg_server_version} >= 150000 ? 'yes' : 'no', 'yes');
    $select->finish;
    $dbh->disconnect;
    1;
} or do { $failed++; print "  DBD::Pg: $@\n"; };
my $exercised = 'table_info, column_info and the other *_info calls, placeholders, arrays, bytes, savepoints, SQLSTATEs';
print "client | DBD::Pg | $DBD::Pg::VERSION | $exercised | $passed passed, $failed failed\n";
print "$passed passed, $failed failed\n";
exit($failed == 0 ? 0 : 1);
