-- 0026_vectors: segments whose rows have vectors of their own lengths.
set local lock_timeout = '2s';

create domain rowcast.real_vector as real[];
create domain rowcast.double_vector as double precision[];
create domain rowcast.bigint_vector as bigint[];
create domain rowcast.boolean_vector as boolean[];
create domain rowcast.text_vector as text[];
comment on domain rowcast.real_vector is 'A row''s vector in a segment, where an array of arrays would want one length.';
comment on domain rowcast.double_vector is 'As real_vector.';
comment on domain rowcast.bigint_vector is 'As real_vector.';
comment on domain rowcast.boolean_vector is 'As real_vector.';
comment on domain rowcast.text_vector is 'As real_vector.';
