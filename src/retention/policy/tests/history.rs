//! Random histories: whatever happens, in whatever order, the rules hold.

use proptest::prelude::*;

use super::{
    world::{Cam, Event, Lies, PER_DAY, Vol, World, cam_id, vol_id},
    *,
};

const CAMERAS: usize = 4;
const VOLUMES: usize = 3;

fn any_terms() -> impl Strategy<Value = Terms> {
    (proptest::option::weighted(0.8, 0_u32..5), proptest::option::of(0_u32..4), 1_u32..4).prop_map(
        |(min, more, priority)| terms(min.filter(|m| *m > 0), more.map(|m| (m + min.unwrap_or(0)).max(1)), priority),
    )
}

fn any_cam() -> impl Strategy<Value = Cam> {
    (any_terms(), 0..VOLUMES, 10_u64..100, proptest::bool::weighted(0.9))
        .prop_map(|(terms, home, rate, recorded)| Cam { terms, home, rate, recorded })
}

fn any_vol() -> impl Strategy<Value = Vol> {
    (4_000_u64..20_000).prop_map(|size| Vol { size, foreign: 0, works: true })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..VOLUMES, 0_u64..500).prop_map(|(volume, per_mille)| Event::Foreign { volume, per_mille }),
        (0..VOLUMES).prop_map(Event::Fail),
        (0..VOLUMES).prop_map(Event::Return),
        (0..CAMERAS, 0_i64..40, 1_i64..20).prop_map(|(camera, ago, steps)| Event::Hold { camera, ago, steps }),
        (0..8_usize).prop_map(Event::Release),
        (0..CAMERAS, any_terms()).prop_map(|(camera, terms)| Event::Terms { camera, terms }),
        (0..CAMERAS).prop_map(Event::Leave),
        (0..CAMERAS).prop_map(Event::Join),
    ]
}

/// What happens before each step: mostly nothing.
fn any_course(steps: usize) -> impl Strategy<Value = Vec<Option<Event>>> {
    proptest::collection::vec(proptest::option::weighted(0.25, any_event()), steps / 2..steps)
}

fn any_world(promise: Promise) -> impl Strategy<Value = World> {
    (proptest::collection::vec(any_cam(), 1..=CAMERAS), proptest::collection::vec(any_vol(), VOLUMES))
        .prop_map(move |(cams, vols)| World::new(promise, cams, vols))
}

/// Age beyond the promise by plain arithmetic.
fn surplus(world: &World, lies: &Lies) -> i64 {
    let min = i64::from(world.cams[lies.camera].terms.min_days.unwrap_or(0));
    world.now.0 - lies.piece.span.end.0 - min * DAY_NS
}

fn find<'a>(world: &'a World, gone: &Retirement) -> &'a Lies {
    world.footage.iter().find(|l| l.piece.segment == gone.piece.segment).unwrap()
}

/// What must hold of every decision.
fn check(world: &World, state: &State, decision: &Decision) -> Result<(), TestCaseError> {
    let goes = |l: &Lies| decision.retire.iter().any(|r| r.piece.segment == l.piece.segment);
    for gone in &decision.retire {
        let lies = find(world, gone);
        let promised = surplus(world, lies) <= 0;
        prop_assert!(!lies.piece.held, "held: {gone:?}");
        prop_assert!(world.vols[lies.volume].works);
        prop_assert!(!promised || world.promise == Promise::Target, "promised: {gone:?}");
        prop_assert_eq!(promised, gone.reason == Reason::Target);
    }
    for (n, v) in world.vols.iter().enumerate().filter(|(_, v)| v.works) {
        let here: Vec<&Lies> = world.footage.iter().filter(|l| l.volume == n).collect();
        let stays: Vec<&&Lies> = here.iter().filter(|l| !goes(l) && !l.piece.held).collect();
        for lies in &stays {
            let terms = world.cams[lies.camera].terms;
            let age = world.now.0 - lies.piece.span.end.0;
            prop_assert!(terms.max_days.is_none_or(|max| age <= i64::from(max) * DAY_NS), "overdue stays: {lies:?}");
        }
        let gone: Vec<&Retirement> = decision.retire.iter().filter(|r| r.volume == vol_id(n)).collect();
        let of = |reason| gone.iter().filter(move |r| r.reason == reason);
        let bytes = |reason| of(reason).map(|r| r.piece.bytes).sum::<u64>();
        let (_, wanted, ample) = world.levels(n);
        let due = v.size.saturating_sub(v.foreign).saturating_sub(world.used(n)) + bytes(Reason::MaxDays);
        let made = due + bytes(Reason::Room);
        // The largest surplus first, and nothing stays that is more due than what went.
        let order: Vec<i64> = of(Reason::Room).map(|r| surplus(world, find(world, r))).collect();
        prop_assert!(order.is_sorted_by(|a, b| a >= b));
        let most = stays.iter().map(|l| surplus(world, l)).max().unwrap_or(i64::MIN);
        prop_assert!(order.last().is_none_or(|least| *least >= most));
        // Room is made whenever it is wanted and can be, and no more than that.
        if due >= wanted {
            prop_assert_eq!(made, due);
        } else {
            prop_assert!(made >= ample || most <= 0, "{made} of {ample}, surplus {most}");
            let last = of(Reason::Room).next_back().map_or(0, |r| r.piece.bytes);
            prop_assert!(last == 0 || made - last < ample);
        }
        let free = made + bytes(Reason::Target);
        if world.promise == Promise::Target {
            prop_assert!(free >= wanted || stays.is_empty());
            let last = of(Reason::Target).next_back().map_or(0, |r| r.piece.bytes);
            prop_assert!(last == 0 || free - last < wanted, "a breach too many");
            let ends: Vec<WallNs> = of(Reason::Target).map(|r| r.piece.span.end).collect();
            prop_assert!(ends.is_sorted(), "the oldest first");
        }
        // Nobody of lower priority is admitted where a resident is not.
        let residents = |c: &usize| world.cams[*c].home == n && world.cams[*c].recorded;
        let priority = |admitted: bool| {
            let all = (0..world.cams.len()).filter(residents);
            all.filter(move |c| decision.admission.admits(&vol_id(n), &cam_id(*c)) == admitted)
                .map(|c| world.cams[c].terms.priority)
        };
        prop_assert!(priority(true).min() >= priority(false).max() || priority(true).next().is_none());
        let guest_admitted = (0..world.cams.len()).any(|c| {
            world.cams[c].home != n && decision.admission.admits(&vol_id(n), &cam_id(c)) && world.cams[c].recorded
        });
        prop_assert!(priority(false).next().is_none() || !guest_admitted, "a guest before a resident");
        if made >= wanted {
            prop_assert_eq!(priority(false).next(), None, "there is room");
        }
    }
    // The order in which things are told decides nothing, and what cannot be asked for need not be told.
    let mut told = state.clone();
    told.shelves.reverse();
    prop_assert_eq!(&decide(&told, &world.admission), decision);
    for shelf in &mut told.shelves {
        let volume = state.volumes[&shelf.volume];
        let terms = state.cameras[&shelf.camera].terms;
        let mut enough = volume.ample.saturating_sub(volume.free);
        let mut told = 0;
        for piece in &shelf.pieces {
            let may_go = state.promise == Promise::Target || terms.surplus(state.now, piece.span.end).is_some();
            if enough == 0 && !terms.is_overdue(state.now, piece.span.end) {
                break;
            }
            if may_go && !piece.held {
                enough = enough.saturating_sub(piece.bytes);
            }
            told += 1;
        }
        shelf.pieces.truncate(told);
    }
    prop_assert_eq!(&decide(&told, &world.admission), decision);
    Ok(())
}

/// Lives through a history and checks every decision in it.
fn live(mut world: World, course: &[Option<Event>]) -> Result<World, TestCaseError> {
    for event in course {
        if let Some(event) = event {
            world.happen(event);
        }
        let foreign = matches!(event, Some(Event::Foreign { .. } | Event::Return(_) | Event::Join(_)));
        let refused = world.refused;
        world.record();
        prop_assert!(foreign || world.refused == refused, "a writer that was admitted found no room");
        let state = world.state();
        let decision = decide(&state, &world.admission);
        check(&world, &state, &decision)?;
        world.carry_out(decision);
    }
    Ok(world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_promise_is_an_invariant(world in any_world(Promise::Invariant), course in any_course(100)) {
        live(world, &course)?;
    }

    #[test]
    fn a_target_yields_and_a_hold_does_not(world in any_world(Promise::Target), course in any_course(80)) {
        live(world, &course)?;
    }

    /// Residents whose promises fit are never refused, whoever comes from failed volumes and however long.
    #[test]
    fn guests_never_eat_what_residents_need(
        world in any_world(Promise::Invariant),
        fails in 0_usize..40,
        lasts in 1_usize..80,
        spare in 0_u64..3000,
    ) {
        let mut world = world;
        for (n, cam) in world.cams.iter_mut().enumerate() {
            // Those of volume 1 will have to go; volume 0 is everybody's refuge.
            cam.home = usize::from(n > 0);
            cam.recorded = true;
        }
        let resident = &world.cams[0];
        // One segment at each edge besides.
        let needs = resident.rate * (u64::from(resident.terms.min_days.unwrap_or(0)) * PER_DAY + 2);
        world.vols[0].size = (needs + 16 * world.step_bytes() + spare) * 50 / 49 + 1;
        let (_, wanted, _) = world.levels(0);
        prop_assert!(world.vols[0].size >= wanted + needs);
        for step in 0..fails + lasts + 40 {
            world.vols[1].works = step < fails || step >= fails + lasts;
            world.record();
            prop_assert_eq!(world.refused, 0);
            let state = world.state();
            let decision = decide(&state, &world.admission);
            check(&world, &state, &decision)?;
            prop_assert!(decision.admission.admits(&vol_id(0), &cam_id(0)), "the resident is refused in step {}", step);
            world.carry_out(decision);
        }
    }
}

/// Ten days on a disk that is too small by half a camera: nobody stops and begins all the time.
#[test]
fn an_overfull_disk_does_not_make_cameras_flap() {
    let cam = |priority| Cam { terms: terms(Some(4), None, priority), home: 0, rate: 100, recorded: true };
    let cams = vec![cam(9), cam(9), cam(5), cam(1)];
    let mut world = World::new(Promise::Invariant, cams, vec![Vol { size: 0, foreign: 0, works: true }]);
    let (promised, reserve) = (100 * 4 * PER_DAY * 35 / 10, 16 * world.step_bytes());
    world.vols[0].size = (promised + reserve) * 50 / 49;
    let mut changes = [0; 4];
    for step in 0..30 * PER_DAY {
        world.record();
        let state = world.state();
        let decision = decide(&state, &world.admission);
        for (n, changes) in changes.iter_mut().enumerate() {
            let admitted = |a: &Admission| a.admits(&vol_id(0), &cam_id(n));
            *changes += u32::from(admitted(&decision.admission) != admitted(&world.admission));
        }
        world.carry_out(decision);
        assert_eq!(world.refused, 0, "step {step}");
    }
    assert_eq!(changes[..2], [0, 0], "those of high priority never stop");
    assert!(changes[3] > 0 && changes[2] <= 4, "{changes:?}");
    assert!(changes.iter().all(|c| *c <= 30), "in 30 days: {changes:?}");
}
