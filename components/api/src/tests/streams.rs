use er_event::keys::Role;

use super::world::{fault, World};
use crate::backend::{FaultCode, TailPage};
use crate::http::Answer;
use crate::tail::{Gone, Sink, Tail};

#[derive(Default)]
struct Client {
    heard: String,
    /// Hangs up when it has heard this.
    enough: Option<&'static str>,
}

impl Sink for Client {
    fn send(&mut self, text: &str) -> Result<(), Gone> {
        if self.enough.is_some_and(|enough| self.heard.contains(enough)) {
            return Err(Gone);
        }
        self.heard.push_str(text);
        Ok(())
    }
}

fn open(world: &World, target: &str, headers: &[(&str, &str)]) -> Result<Tail, u16> {
    let key = world.key("acme", Role::Viewer);
    let mut headers = headers.to_vec();
    headers.push(("authorization", &key));
    match world.ask("GET", target, &headers, "") {
        Answer::Stream(tail, _) => Ok(tail),
        Answer::Whole(response) => Err(response.status),
    }
}

fn page(events: &str, next: u64) -> Result<TailPage, crate::backend::Fault> {
    Ok(TailPage { events: events.into(), next })
}

#[test]
fn events_come_with_type_data_and_position() {
    let world = World::new();
    let event = |id: u32| format!("{{\"specversion\":\"1.0\",\n\"id\":\"{id}\",\"source\":\"/s\",\"type\":\"t{id}\"}}");
    world.pages.borrow_mut().push(page(&format!("[{},{}]", event(1), event(2)), 42));
    let mut client = Client { enough: Some("id: 42"), ..Client::default() };
    assert_eq!(open(&world, "/api/v1/tail", &[]).unwrap().run(&world, &mut client), Err(Gone));
    let one_line = |id| event(id).replace('\n', " ");
    assert_eq!(
        client.heard,
        format!(
            ": events of acme\nretry: 500\n\nid: 42-1\nevent: t1\ndata: {}\n\nid: 42\nevent: t2\ndata: {}\n\n",
            one_line(1),
            one_line(2)
        )
    );
}

#[test]
fn a_client_that_hung_up_inside_a_page_gets_the_rest_of_it() {
    let world = World::new();
    let event = |id: u32| format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"}}"#);
    world.pages.borrow_mut().push(page(&format!("[{},{},{}]", event(1), event(2), event(3)), 42));
    let mut client = Client { enough: Some("id: 42"), ..Client::default() };
    let tail = open(&world, "/api/v1/tail", &[("last-event-id", "40-2")]).unwrap();
    assert_eq!(tail.run(&world, &mut client), Err(Gone));
    assert_eq!(world.asked.borrow()[0], "acme Some(40) [] 0");
    assert_eq!(
        client.heard,
        format!(": events of acme\nretry: 500\n\nid: 42\nevent: t\ndata: {}\n\n", event(3)),
        "only what was not seen"
    );
}

#[test]
fn a_quiet_stream_shows_signs_of_life_and_ends_in_time() {
    let world = World::new();
    let mut client = Client::default();
    open(&world, "/api/v1/tail?types=a,%20b*", &[]).unwrap().run(&world, &mut client).unwrap();
    assert_eq!(client.heard.matches("id: 7\n: keep-alive\n\n").count(), 5);
    assert!(client.heard.ends_with(": time is up, come back\n\n"), "{}", client.heard);
    let asked = world.asked.borrow();
    assert_eq!(asked[0], r#"acme None ["a", "b*"] 0"#, "the first look must not wait");
    assert!(asked[1..].iter().all(|asked| asked == r#"acme Some(7) ["a", "b*"] 5000"#), "{asked:?}");
}

#[test]
fn a_client_goes_on_where_it_was() {
    let world = World::new();
    open(&world, "/api/v1/tail?after=5", &[]).unwrap();
    open(&world, "/api/v1/tail?after=5", &[("last-event-id", "9")]).unwrap();
    assert_eq!(*world.asked.borrow(), ["acme Some(5) [] 0", "acme Some(9) [] 0"]);
    assert_eq!(open(&world, "/api/v1/tail", &[("last-event-id", "x")]).err(), Some(400));
    assert_eq!(open(&world, "/api/v1/tail?after=-1", &[]).err(), Some(400));
    assert_eq!(open(&world, "/api/v1/tail?types=*a", &[]).err(), Some(400));
}

#[test]
fn a_source_that_fails_is_told_by_status_at_first_and_by_comment_later() {
    let world = World::new();
    world.pages.borrow_mut().push(Err(fault(FaultCode::Unavailable)));
    assert_eq!(open(&world, "/api/v1/tail", &[]).err(), Some(503));
    world.pages.borrow_mut().extend([page("[]", 1), Err(fault(FaultCode::Unavailable))]);
    let mut client = Client::default();
    open(&world, "/api/v1/tail", &[]).unwrap().run(&world, &mut client).unwrap();
    assert!(client.heard.ends_with(": unavailable\nretry: 1000\n\n"), "{}", client.heard);
}
