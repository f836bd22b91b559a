//! The catalog as plain maps, with its rules in as few words as possible. It must share no code with the real one.

use std::collections::{BTreeMap, BTreeSet};

use tarn_catalog::object::{Grant, Namespace, Relation, RelationKind, Role, Securable, TablePointer};
use tarn_catalog::{
    Change, ErrorKind, LAKE, NamespaceId, ObjectKind, PUBLIC_ROLE, Reader, RelationId, Result, RoleId,
    SUPERUSER,
};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct World {
    pub namespaces: BTreeMap<NamespaceId, Namespace>,
    pub relations: BTreeMap<RelationId, Relation>,
    pub pointers: BTreeMap<RelationId, TablePointer>,
    pub roles: BTreeMap<RoleId, Role>,
    pub grants: BTreeMap<(Securable, RoleId), Grant>,
}

type Answer = std::result::Result<(), ErrorKind>;

const CONFLICT: Answer = Err(ErrorKind::Conflict);

fn unless(bad: bool, kind: ErrorKind) -> Answer {
    if bad { Err(kind) } else { Ok(()) }
}

impl World {
    /// Makes one change, or says why it cannot be made here.
    pub fn apply(&mut self, change: &Change) -> Answer {
        match change {
            Change::CreateNamespace(after) => {
                self.check_role(after.owner)?;
                self.put_namespace(after)
            }
            Change::UpdateNamespace { before, after } => {
                unless(self.namespaces.get(&before.id) != Some(before), ErrorKind::Conflict)?;
                self.put_namespace(after)?;
                self.check_role(after.owner)
            }
            Change::DropNamespace(before) => self.drop_namespace(before),
            Change::CreateRelation(after) => {
                self.check_role(after.owner)?;
                self.put_relation(after)
            }
            Change::UpdateRelation { before, after } => {
                unless(self.relations.get(&before.id) != Some(before), ErrorKind::Conflict)?;
                self.put_relation(after)?;
                self.check_role(after.owner)
            }
            Change::DropRelation(before) => {
                unless(self.relations.get(&before.id) != Some(before), ErrorKind::Conflict)?;
                self.relations.remove(&before.id);
                self.pointers.remove(&before.id);
                self.forget_grants(Securable::Relation(before.id));
                Ok(())
            }
            Change::MovePointer { relation, before, after, .. } => {
                let known = self.relations.contains_key(relation);
                unless(!known || self.pointers.get(relation) != before.as_ref(), ErrorKind::Conflict)?;
                self.pointers.insert(*relation, after.clone());
                Ok(())
            }
            Change::CreateRole(after) => self.put_role(None, after),
            Change::UpdateRole { before, after } => self.put_role(Some(before), after),
            Change::DropRole(before) => self.drop_role(before),
            Change::SetGrant { before, after } => self.set_grant(before.as_ref(), after),
            Change::CreateDatabase(_)
            | Change::FinishWrite(_)
            | Change::SetPolicy { .. }
            | Change::SetCrawler { .. }
            | Change::SetCrawlRun { .. }
            | Change::Discard { .. }
            | Change::Answer(_) => {
                unreachable!("the test makes no such change")
            }
        }
    }

    /// What must hold at the end of a transaction.
    pub fn check(&self, changes: &[Change]) -> Answer {
        for change in changes {
            if let Change::CreateRelation(relation) = change {
                let is_table =
                    self.relations.get(&relation.id).is_some_and(|r| r.kind == RelationKind::Table);
                unless(is_table && !self.pointers.contains_key(&relation.id), ErrorKind::Internal)?;
            }
        }
        Ok(())
    }

    fn check_role(&self, role: RoleId) -> Answer {
        unless(!self.roles.contains_key(&role), ErrorKind::Conflict)
    }

    fn put_namespace(&mut self, after: &Namespace) -> Answer {
        let taken = self.namespaces.values().any(|other| other.name == after.name && other.id != after.id);
        unless(taken, ErrorKind::AlreadyExists(ObjectKind::Namespace))?;
        self.namespaces.insert(after.id, after.clone());
        Ok(())
    }

    fn drop_namespace(&mut self, before: &Namespace) -> Answer {
        unless(self.namespaces.get(&before.id) != Some(before), ErrorKind::Conflict)?;
        let used = self.relations.values().any(|relation| relation.namespace == before.id);
        unless(used, ErrorKind::DependentObjects)?;
        self.namespaces.remove(&before.id);
        self.forget_grants(Securable::Namespace(before.id));
        Ok(())
    }

    fn put_relation(&mut self, after: &Relation) -> Answer {
        let same = |other: &&Relation| (other.namespace, &other.name) == (after.namespace, &after.name);
        let taken = self.relations.values().filter(same).any(|other| other.id != after.id);
        unless(taken, ErrorKind::AlreadyExists(ObjectKind::Relation))?;
        unless(!self.namespaces.contains_key(&after.namespace), ErrorKind::Conflict)?;
        self.relations.insert(after.id, after.clone());
        Ok(())
    }

    fn put_role(&mut self, before: Option<&Role>, after: &Role) -> Answer {
        if let Some(before) = before {
            unless(self.roles.get(&before.id) != Some(before), ErrorKind::Conflict)?;
        }
        let taken = self.roles.values().any(|other| other.name == after.name && other.id != after.id);
        unless(taken, ErrorKind::AlreadyExists(ObjectKind::Role))?;
        let known = before.map_or(&[][..], |before| &before.member_of);
        let joined: Vec<RoleId> =
            after.member_of.iter().copied().filter(|role| !known.contains(role)).collect();
        for role in &joined {
            // Whoever is made a member of itself finds itself there only if it exists already.
            self.check_role(*role)?;
        }
        let circle = joined.iter().any(|role| self.all_roles(*role).contains(&after.id));
        unless(circle, ErrorKind::InvalidArgument)?;
        self.roles.insert(after.id, after.clone());
        Ok(())
    }

    /// The role and all it is a member of.
    fn all_roles(&self, role: RoleId) -> BTreeSet<RoleId> {
        let mut all = BTreeSet::from([role]);
        loop {
            let next: BTreeSet<RoleId> = all
                .iter()
                .filter_map(|role| self.roles.get(role))
                .flat_map(|role| role.member_of.iter().copied())
                .filter(|role| self.roles.contains_key(role))
                .chain(all.iter().copied())
                .collect();
            if next == all {
                return all;
            }
            all = next;
        }
    }

    fn drop_role(&mut self, before: &Role) -> Answer {
        unless(self.roles.get(&before.id) != Some(before), ErrorKind::Conflict)?;
        let owns = self.namespaces.values().any(|namespace| namespace.owner == before.id)
            || self.relations.values().any(|relation| relation.owner == before.id);
        let holds = self.grants.keys().any(|(_, to)| *to == before.id);
        unless(owns || holds || before.id == SUPERUSER, ErrorKind::DependentObjects)?;
        self.roles.remove(&before.id);
        Ok(())
    }

    fn set_grant(&mut self, before: Option<&Grant>, after: &Grant) -> Answer {
        if after.to != PUBLIC_ROLE {
            self.check_role(after.to)?;
        }
        let there = match after.on {
            Securable::Namespace(id) => self.namespaces.contains_key(&id),
            Securable::Relation(id) => self.relations.contains_key(&id),
        };
        if !there || self.grants.get(&(after.on, after.to)) != before {
            return CONFLICT;
        }
        if after.privileges.is_empty() {
            self.grants.remove(&(after.on, after.to));
        } else {
            self.grants.insert((after.on, after.to), after.clone());
        }
        Ok(())
    }

    fn forget_grants(&mut self, on: Securable) {
        self.grants.retain(|(of, _), _| *of != on);
    }

    /// Everything a reader sees, asked in every way there is to ask it.
    pub fn read(reader: &Reader) -> Result<World> {
        let mut world = World::default();
        for role in reader.roles()? {
            assert_eq!(reader.role(&role.name)?.as_ref(), Some(&role));
            world.roles.insert(role.id, role);
        }
        for namespace in reader.namespaces(LAKE)? {
            assert_eq!(reader.namespace(LAKE, &namespace.name)?.as_ref(), Some(&namespace));
            world.read_relations(reader, namespace.id)?;
            world.read_grants(reader, Securable::Namespace(namespace.id))?;
            world.namespaces.insert(namespace.id, namespace);
        }
        world.check_reverse_lookups(reader)?;
        Ok(world)
    }

    fn read_relations(&mut self, reader: &Reader, namespace: NamespaceId) -> Result<()> {
        let relations = reader.relations(namespace)?;
        let with_prefix: Vec<Relation> =
            relations.iter().filter(|r| r.name.starts_with('a')).cloned().collect();
        assert_eq!(reader.relations_with_prefix(namespace, "a")?, with_prefix);
        assert!(relations.is_sorted_by(|one, other| one.name < other.name));
        for relation in relations {
            assert_eq!(reader.relation(namespace, &relation.name)?.as_ref(), Some(&relation));
            self.pointers.extend(reader.pointer(relation.id)?.map(|pointer| (relation.id, pointer)));
            self.read_grants(reader, Securable::Relation(relation.id))?;
            self.relations.insert(relation.id, relation);
        }
        Ok(())
    }

    fn read_grants(&mut self, reader: &Reader, on: Securable) -> Result<()> {
        self.grants.extend(reader.grants_on(on)?.into_iter().map(|grant| ((grant.on, grant.to), grant)));
        Ok(())
    }

    fn check_reverse_lookups(&self, reader: &Reader) -> Result<()> {
        for role in self.roles.keys().copied().chain([PUBLIC_ROLE]) {
            let held: Vec<Grant> = self.grants.values().filter(|grant| grant.to == role).cloned().collect();
            assert_eq!(reader.grants_to(role)?, held);
            let namespaces = self.namespaces.values().filter(|namespace| namespace.owner == role);
            let relations = self.relations.values().filter(|relation| relation.owner == role);
            let owned: Vec<Securable> = namespaces
                .map(|namespace| Securable::Namespace(namespace.id))
                .chain(relations.map(|relation| Securable::Relation(relation.id)))
                .collect();
            assert_eq!(reader.owned_by(role)?, owned);
        }
        for id in self.roles.keys() {
            let principal = reader.principal(*id)?.expect("the role was listed");
            let mut expect = self.all_roles(*id);
            expect.insert(PUBLIC_ROLE);
            assert_eq!(principal.roles, expect);
        }
        Ok(())
    }
}
