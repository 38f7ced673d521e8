-- The links phase comes between those of copying and of attributes.
UPDATE task SET phase = phase + 1 WHERE phase > 0;
UPDATE item SET phase = phase + 1 WHERE phase > 0;
