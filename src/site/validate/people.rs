//! Roles, people, approvals.

use std::collections::BTreeMap;

use super::{Checker, length, text};
use crate::{
    site::{
        model::{Approval, Matter, Person, Role},
        problem::{Code, Problem},
        raw,
        read::{At, Named},
    },
    types::{AreaId, PersonId, RoleId},
};

pub(super) fn values<T: Clone>(list: Option<&At<raw::List<T>>>) -> Vec<T> {
    list.map(|l| l.value.iter().map(|v| v.value.clone()).collect()).unwrap_or_default()
}

impl Checker<'_> {
    pub(super) fn areas_exist(&mut self, list: Option<&At<raw::List<AreaId>>>, key: &str) {
        let declared = self.declared.areas.take();
        for area in list.map(|l| l.value.as_slice()).unwrap_or_default() {
            self.exists("@area", declared.as_ref(), area, key);
        }
        self.declared.areas = declared;
    }

    fn roles_exist(&mut self, list: Option<&At<raw::List<RoleId>>>, key: &str) {
        let declared = self.declared.roles.take();
        for role in list.map(|l| l.value.as_slice()).unwrap_or_default() {
            self.exists("@role", declared.as_ref(), role, key);
        }
        self.declared.roles = declared;
    }

    pub(super) fn roles(&mut self, named: Option<&At<Named<RoleId, raw::Role>>>) -> BTreeMap<RoleId, Role> {
        let mut all = BTreeMap::new();
        for (id, raw) in named.map(|n| n.value.0.as_slice()).unwrap_or_default() {
            self.areas_exist(raw.areas.as_ref(), &format!("role.{}.areas", id.value));
            let Some(name) = &raw.name else { continue };
            let areas = raw.areas.as_ref().map(|a| values(Some(a)));
            all.insert(id.value.clone(), Role { name: name.value.0.clone(), may: values(raw.may.as_ref()), areas });
        }
        all
    }

    pub(super) fn people(&mut self, named: Option<&At<Named<PersonId, raw::Person>>>) -> BTreeMap<PersonId, Person> {
        let mut all = BTreeMap::new();
        for (id, raw) in named.map(|n| n.value.0.as_slice()).unwrap_or_default() {
            self.roles_exist(raw.roles.as_ref(), &format!("person.{}.roles", id.value));
            all.insert(
                id.value.clone(),
                Person {
                    name: text(raw.name.as_ref()).unwrap_or_default(),
                    roles: values(raw.roles.as_ref()),
                    department: text(raw.department.as_ref()),
                    phone: text(raw.phone.as_ref()),
                    email: text(raw.email.as_ref()),
                },
            );
        }
        all
    }

    pub(super) fn approvals(
        &mut self,
        raw: Option<&At<raw::Approvals>>,
        people: &BTreeMap<PersonId, Person>,
    ) -> BTreeMap<Matter, Approval> {
        let Some(raw) = raw.map(|r| &r.value) else { return BTreeMap::new() };
        let matters = [
            (Matter::Ordinary, "ordinary", &raw.ordinary),
            (Matter::Unit, "unit", &raw.unit),
            (Matter::Private, "private", &raw.private),
            (Matter::Examination, "examination", &raw.examination),
            (Matter::KeyRoom, "key_room", &raw.key_room),
            (Matter::Authority, "authority", &raw.authority),
        ];
        let mut all = BTreeMap::new();
        for (matter, name, raw) in matters {
            let Some(raw) = raw.as_ref().map(|r| &r.value) else { continue };
            let key = format!("approval.{name}");
            self.roles_exist(raw.by.as_ref(), &format!("{key}.by"));
            self.roles_exist(raw.notify.as_ref(), &format!("{key}.notify"));
            if let Some(list) = raw.by.as_ref().filter(|l| l.value.is_empty()) {
                self.problem(Code::EmptyList, &list.at, format!("{key}.by"));
            }
            for role in raw.by.as_ref().map(|l| l.value.as_slice()).unwrap_or_default() {
                let known = self.declared.roles.as_ref().and_then(|r| r.get(&role.value)).cloned();
                // A person who could not be read whole may be the one.
                let unsure = self.r.problems.iter().any(|p| p.key.starts_with("person"));
                let held = unsure || people.values().any(|p| p.roles.contains(&role.value));
                if let Some(there) = known.filter(|_| !held) {
                    let problem = Problem::new(Code::NobodyHolds, role.at.clone(), format!("{key}.by")).other(&there);
                    self.report(problem.with("found", &role.value));
                }
            }
            all.insert(
                matter,
                Approval {
                    by: values(raw.by.as_ref()),
                    papers: values(raw.papers.as_ref()),
                    supervisor: raw.supervisor.as_ref().is_some_and(|s| s.value),
                    copy: raw.copy.as_ref().is_some_and(|c| c.value),
                    notify: values(raw.notify.as_ref()),
                    valid: length(raw.valid.as_ref(), super::DAY),
                },
            );
        }
        all
    }
}
