-- From the root on, always down first: a part of a large tree shows what the rest is like.
select path, pagetype, ncell, pgsize from dbstat where name = :name limit :n
