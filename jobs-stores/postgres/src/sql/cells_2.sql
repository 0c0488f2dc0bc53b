-- Writes a cell if its version is still that one, in one statement: whoever writes it at the same time waits, and then finds
-- another version. 0 expects that there is none; one that has expired is none. No value removes it. Answers with the new
-- version, 0 if it was removed, or with what is there instead.
CREATE FUNCTION put_if_2(of_ns integer, cell_name text, expected bigint, new_value text, new_expiry bigint, new_owner bigint,
                         clock bigint) RETURNS SETOF fact_2 LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    IF new_value IS NULL THEN
        IF expected = 0 THEN
            SELECT 0 INTO written WHERE NOT EXISTS (SELECT FROM cell WHERE ns = of_ns AND name = cell_name
                AND (expires_at IS NULL OR expires_at > clock));
        ELSE
            DELETE FROM cell WHERE ns = of_ns AND name = cell_name AND version = expected
                AND (expires_at IS NULL OR expires_at > clock) RETURNING 0 INTO written;
        END IF;
    ELSE
        -- Held, so that it does not go meanwhile and leave the cell behind.
        IF new_owner IS NOT NULL THEN
            PERFORM FROM session WHERE ns = of_ns AND session = new_owner FOR KEY SHARE;
        END IF;
        IF new_owner IS NULL OR FOUND THEN
            IF expected = 0 THEN
                INSERT INTO cell AS c (ns, name, version, value, expires_at, owner)
                    VALUES (of_ns, cell_name, number_1(clock), new_value, new_expiry, new_owner)
                    ON CONFLICT (ns, name) DO UPDATE SET version = excluded.version, value = excluded.value,
                        expires_at = excluded.expires_at, owner = excluded.owner WHERE c.expires_at <= clock
                    RETURNING version INTO written;
            ELSE
                UPDATE cell SET version = number_1(clock), value = new_value, expires_at = new_expiry, owner = new_owner
                    WHERE ns = of_ns AND name = cell_name AND version = expected AND (expires_at IS NULL OR expires_at > clock)
                    RETURNING version INTO written;
            END IF;
        END IF;
    END IF;
    IF written IS NOT NULL THEN
        RETURN NEXT ROW('version', written::text, NULL, NULL)::fact_2;
        RETURN;
    END IF;
    RETURN QUERY SELECT 'cell', row_to_json(c)::text, NULL::bytea, NULL::bytea
        FROM cell AS c WHERE ns = of_ns AND name = cell_name AND (expires_at IS NULL OR expires_at > clock);
END $$;
