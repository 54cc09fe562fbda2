use super::*;

#[test]
fn the_jump_is_a_function_of_the_number() {
    let mut head = Head::empty(1);
    let mut jumps = vec![0u64];
    for seq in 1..5000u64 {
        // With position = number, pointers are numbers.
        let pointers = head.push(seq);
        assert_eq!(pointers.seq, seq);
        assert_eq!(pointers.prev, seq - 1);
        assert_eq!(pointers.jump, jump_seq(seq), "{seq}");
        jumps.push(pointers.jump);
    }
}

#[test]
fn any_number_is_near_the_head() {
    for head in [1u64, 2, 3, 1000, 65_535, 65_536, 1_000_000] {
        for wanted in (1..=head).step_by((head as usize / 97).max(1)) {
            let mut at = head;
            let mut steps = 0;
            while at != wanted {
                at = if jump_seq(at) >= wanted {
                    jump_seq(at)
                } else {
                    at - 1
                };
                steps += 1;
            }
            assert!(steps <= 3 * 20, "{head} {wanted}: {steps}");
        }
    }
}

#[test]
fn a_head_found_in_the_log_goes_on_like_the_one_in_memory() {
    for length in 1..300u64 {
        let mut head = Head::empty(7);
        for position in 1..=length {
            head.push(position * 10);
        }
        let mut ancestors = vec![];
        let mut seq = length;
        while seq > 0 {
            ancestors.push(Link {
                seq,
                position: seq * 10,
            });
            seq = jump_seq(seq);
        }
        let mut found = Head::from_ancestors(7, &ancestors);
        assert_eq!(found, head);
        assert_eq!(found.push(99_999), head.push(99_999));
    }
}

#[test]
fn rows_that_retention_took_are_gone_for_the_pointers_too() {
    let mut found = Head::from_ancestors(
        7,
        &[Link {
            seq: 12,
            position: 120,
        }],
    );
    assert_eq!(found.seq(), 12);
    assert_eq!(
        found.nearest(3),
        Some(Link {
            seq: 12,
            position: 120
        })
    );
    let pointers = found.push(130);
    assert_eq!((pointers.seq, pointers.prev), (13, 120));
}
