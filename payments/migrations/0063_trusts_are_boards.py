"""Keeps boards of three apart from programs, counts their signatures, and lets no word of theirs or of people be changed."""

from django.db import migrations

# ENABLE ALWAYS: they fire in replica mode too, which an ordinary trigger does not. The user's row is locked first, as by the
# trigger of roles, so that of a seat and a role at once the second sees the first.
FORWARD = """
CREATE FUNCTION payments_refuse_board_and_role() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM auth_user WHERE id = NEW.user_id FOR NO KEY UPDATE;
    IF TG_TABLE_NAME = 'payments_membership' THEN
        PERFORM 1 FROM payments_trustseat WHERE user_id = NEW.user_id AND ended_at IS NULL;
    ELSIF NEW.ended_at IS NULL THEN
        PERFORM 1 FROM payments_membership WHERE user_id = NEW.user_id;
    ELSE
        RETURN NEW;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION 'Nobody is on the board of a trust and has a role in a program.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'trustseat_without_a_role';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trustseat_without_a_role BEFORE INSERT OR UPDATE OF user_id, ended_at ON payments_trustseat
    FOR EACH ROW EXECUTE FUNCTION payments_refuse_board_and_role();
ALTER TABLE payments_trustseat ENABLE ALWAYS TRIGGER trustseat_without_a_role;
CREATE TRIGGER membership_without_a_seat BEFORE INSERT OR UPDATE OF user_id ON payments_membership
    FOR EACH ROW EXECUTE FUNCTION payments_refuse_board_and_role();
ALTER TABLE payments_membership ENABLE ALWAYS TRIGGER membership_without_a_seat;

CREATE FUNCTION payments_require_board_of_three() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (SELECT count(*) FROM payments_trustseat s JOIN payments_trust t ON t.id = s.trust_id
        WHERE t.id = NEW.trust_id AND s.ended_at IS NULL AND s.board_number = t.board_number) <> 3
        OR EXISTS (SELECT FROM payments_trustseat s JOIN payments_trust t ON t.id = s.trust_id
            WHERE t.id = NEW.trust_id AND s.ended_at IS NULL AND s.board_number <> t.board_number) THEN
        RAISE EXCEPTION 'A board has three members.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'trustseat_three';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER trustseat_three AFTER INSERT OR UPDATE ON payments_trustseat
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments_require_board_of_three();
ALTER TABLE payments_trustseat ENABLE ALWAYS TRIGGER trustseat_three;

CREATE FUNCTION payments_require_seat_to_vote() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM 1 FROM payments_trustdecision d
        JOIN payments_trust t ON t.id = d.trust_id AND t.board_number = d.board_number
        JOIN payments_trustseat s ON s.trust_id = d.trust_id AND s.ended_at IS NULL
    WHERE d.id = NEW.decision_id AND d.status = 'open' AND s.user_id = NEW.user_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Only a member of the board signs what it is asked.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'trustvote_of_a_member';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trustvote_of_a_member BEFORE INSERT ON payments_trustvote
    FOR EACH ROW EXECUTE FUNCTION payments_require_seat_to_vote();
ALTER TABLE payments_trustvote ENABLE ALWAYS TRIGGER trustvote_of_a_member;
CREATE TRIGGER trustvote_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON payments_trustvote
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE payments_trustvote ENABLE ALWAYS TRIGGER trustvote_unchanged;

CREATE FUNCTION payments_require_two_votes() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'open' THEN
            RAISE EXCEPTION 'A decision begins open.'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'trustdecision_two_of_three';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.trust_id, NEW.board_number, NEW.kind, NEW.terms, NEW.note, NEW.made_by_id, NEW.made_at, NEW.expires_at)
        IS DISTINCT FROM
        (OLD.trust_id, OLD.board_number, OLD.kind, OLD.terms, OLD.note, OLD.made_by_id, OLD.made_at, OLD.expires_at)
        OR OLD.status <> 'open' THEN
        RAISE EXCEPTION 'What a board was asked does not change.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'trustdecision_unchanged';
    END IF;
    IF NEW.status = 'carried' AND (SELECT count(DISTINCT v.user_id) FROM payments_trustvote v
        JOIN payments_trustseat s ON s.user_id = v.user_id AND s.trust_id = NEW.trust_id AND s.ended_at IS NULL
            AND s.board_number = NEW.board_number
        WHERE v.decision_id = NEW.id) < 2 THEN
        RAISE EXCEPTION 'Two of three members sign a decision.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'trustdecision_two_of_three';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trustdecision_two_of_three BEFORE INSERT OR UPDATE ON payments_trustdecision
    FOR EACH ROW EXECUTE FUNCTION payments_require_two_votes();
ALTER TABLE payments_trustdecision ENABLE ALWAYS TRIGGER trustdecision_two_of_three;

CREATE TRIGGER election_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON payments_election
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE payments_election ENABLE ALWAYS TRIGGER election_unchanged;

CREATE FUNCTION payments_keep_leg() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF (NEW.payment_id, NEW.trust_id, NEW.purse_id, NEW.election_id)
        IS DISTINCT FROM (OLD.payment_id, OLD.trust_id, OLD.purse_id, OLD.election_id)
        OR OLD.status <> 'asked' AND (NEW.amount_sat, NEW.value_minor, NEW.quote_id)
            IS DISTINCT FROM (OLD.amount_sat, OLD.value_minor, OLD.quote_id) THEN
        RAISE EXCEPTION 'What a leg is of, and worth, does not change.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'trustleg_unchanged';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trustleg_unchanged BEFORE UPDATE ON payments_trustleg
    FOR EACH ROW EXECUTE FUNCTION payments_keep_leg();
ALTER TABLE payments_trustleg ENABLE ALWAYS TRIGGER trustleg_unchanged
"""
BACKWARD = """
DROP TRIGGER trustleg_unchanged ON payments_trustleg;
DROP FUNCTION payments_keep_leg();
DROP TRIGGER election_unchanged ON payments_election;
DROP TRIGGER trustdecision_two_of_three ON payments_trustdecision;
DROP FUNCTION payments_require_two_votes();
DROP TRIGGER trustvote_unchanged ON payments_trustvote;
DROP TRIGGER trustvote_of_a_member ON payments_trustvote;
DROP FUNCTION payments_require_seat_to_vote();
DROP TRIGGER trustseat_three ON payments_trustseat;
DROP FUNCTION payments_require_board_of_three();
DROP TRIGGER membership_without_a_seat ON payments_membership;
DROP TRIGGER trustseat_without_a_role ON payments_trustseat;
DROP FUNCTION payments_refuse_board_and_role()
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0062_trusts"), ("ledger", "0002_books_never_change")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
